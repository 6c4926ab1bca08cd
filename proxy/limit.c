/* SPDX-License-Identifier: Apache-2.0 */
#include "limit.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "reader.h"
#include "sluice/array.h"

enum unit { COUNT, BYTES, TIME };

static const struct limit {
	enum unit unit;
	size_t offset;
	uint64_t preset, least, most;
	const char *help;
} table[] = {
#define X(field, name, unit, preset, least, most, help) \
	{ unit, offsetof(struct limits, field), preset, least, most, help },
	LIMITS(X)
#undef X
};

static const char *const names[] = {
#define X(field, name, unit, preset, least, most, help) name,
	LIMITS(X)
#undef X
};

/* Largest first, so that a value is written with the largest that divides it. */
static const struct suffix {
	enum unit unit;
	const char *text;
	uint64_t factor;
} suffixes[] = {
	{ BYTES, "G", LIMITS_GIB },
	{ BYTES, "M", LIMITS_MIB },
	{ BYTES, "k", LIMITS_KIB },
	{ BYTES, "", 1 },
	{ COUNT, "", 1 },
	{ TIME, "h", LIMITS_H },
	{ TIME, "m", 60 * LIMITS_S },
	{ TIME, "s", LIMITS_S },
	{ TIME, "ms", 1 },
};

const char *const *limits_names(size_t *n)
{
	*n = ARRAY_SIZE(names);
	return names;
}

/* VALUE in the shortest form that limits_set() understands. */
static const char *write_value(enum unit unit, uint64_t value, char buf[static 32])
{
	size_t i = 0;

	while (suffixes[i].unit != unit ||
	       (suffixes[i].factor > 1 && (value == 0 || value % suffixes[i].factor != 0)))
		i++;
	snprintf(buf, 32, "%" PRIu64 "%s", value / suffixes[i].factor, suffixes[i].text);
	return buf;
}

/* Returns false unless TEXT is digits and a suffix of this unit, and the product fits. */
static bool read_value(enum unit unit, const char *text, uint64_t *ret)
{
	uint64_t n = 0;
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 18)
		return false;
	for (size_t i = 0; i < digits; i++)
		n = n * 10 + (uint64_t)(text[i] - '0');
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
		if (suffixes[i].unit == unit && strcmp(suffixes[i].text, text + digits) == 0)
			return !__builtin_mul_overflow(n, suffixes[i].factor, ret);
	return false;
}

static int refuse_value(const struct limit *limit, const char *name, const char *value,
			struct error *err)
{
	static const char *const forms[] = {
		[COUNT] = "a number",
		[BYTES] = "a size such as 64k or 16M",
		[TIME] = "a time such as 500ms, 30s or 5m",
	};
	char least[32], most[32];

	error_set(err, "%s must be %s, from %s to %s, not \"%s\"", name, forms[limit->unit],
		  write_value(limit->unit, limit->least, least),
		  write_value(limit->unit, limit->most, most), value);
	return -EINVAL;
}

int limits_set(struct limits *l, const char *name, const char *value, struct error *err)
{
	const char *near;
	uint64_t n;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (strcmp(names[i], name) != 0)
			continue;
		if (!read_value(table[i].unit, value, &n) || n < table[i].least ||
		    n > table[i].most)
			return refuse_value(&table[i], name, value, err);
		memcpy((char *)l + table[i].offset, &n, sizeof(n));
		return 0;
	}
	near = reader_nearest(name, names, ARRAY_SIZE(names));
	if (near)
		error_set(err, "there is no limit \"%s\"; did you mean \"%s\"?", name, near);
	else
		error_set(err, "there is no limit \"%s\"; see --help-limits", name);
	return -ENOENT;
}

int limits_check(const struct limits *l, struct error *err)
{
	if (l->drain_idle <= l->drain_time)
		return 0;
	error_set(err, "drain-idle is longer than drain-time, of which it is a part");
	return -EINVAL;
}

void limits_print(FILE *to)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		char buf[32];

		fprintf(to, "  %-12s %-6s %s\n", names[i],
			write_value(table[i].unit, table[i].preset, buf), table[i].help);
	}
}
