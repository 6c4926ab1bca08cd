/* SPDX-License-Identifier: Apache-2.0 */
#include "report_desk.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "json.h"

const struct flow flow = {
	.client = { .family = AF_INET, .port = 40000, .ip = { 127, 0, 0, 1 } },
	.destination = { .family = AF_INET, .port = 8080, .ip = { 192, 0, 2, 7 } },
};

const struct rule_ref rule = {
	.policy = "api",
	.namespace_ = "shop",
	.path = "egress[0].toPorts[0].rules.http[1]",
	.index = 1,
	.file = "f",
	.line = 1,
	.column = 1,
};

void desk_open(struct desk *d, const char *labels)
{
	char path[] = "/tmp/test_report.XXXXXX", name[64];
	struct error err = { "" };

	*d = (struct desk){ .fd = mkstemp(path) };
	assert_true(d->fd >= 0);
	unlink(path);
	snprintf(name, sizeof(name), "/dev/fd/%d", d->fd);
	assert_int_equal(access_log_open(name, 1, 1 << 20, &d->log, &err), 0);
	d->reporter.log = access_log_writer(d->log, 0);
	snprintf(d->who, sizeof(d->who), ",\"labels\":[%s]", labels);
	d->info.record = d->who;
	d->reporter.who = labels[0] ? &d->info : NULL;
	d->reporter.kept = &d->kept;
}

/* No more is reported; returns how many records were lost. */
uint64_t desk_read(struct desk *d)
{
	uint64_t lost = access_log_close(d->log);
	off_t len = lseek(d->fd, 0, SEEK_END);

	d->text = calloc(1, (size_t)len + 1);
	assert_non_null(d->text);
	assert_int_equal(pread(d->fd, d->text, (size_t)len, 0), len);
	d->next = d->text;
	return lost;
}

/* The next record, which must be JSON, or NULL. */
const char *desk_next(struct desk *d)
{
	char *record = d->next, *newline = strchr(record, '\n');

	if (!newline) {
		assert_int_equal(*record, '\0');
		return NULL;
	}
	*newline = '\0';
	d->next = newline + 1;
	if (!json_valid(record, strlen(record)))
		fail_msg("not JSON: %s", record);
	return record;
}

void desk_close(struct desk *d)
{
	free(d->text);
	close(d->fd);
	assert_int_equal(d->kept.others, 0);
	denials_done(&d->reporter.denials);
}

void check(const char *record, const char *path, const char *want)
{
	char value[REPORT_RECORD_MAX];

	assert_non_null(record);
	if (!want) {
		if (json_get(record, path, value, sizeof(value)))
			fail_msg("%s is %s", path, value);
		return;
	}
	if (!json_get(record, path, value, sizeof(value)))
		fail_msg("no %s in %s", path, record);
	assert_string_equal(value, want);
}

/* A head as the parser would leave it. */
const struct report_ask *ask_of(const char *method, const char *authority, const char *path)
{
	static struct request req;
	static struct report_ask ask;

	req = (struct request){ .method = span_of(method),
				.authority = span_of(authority),
				.path = span_of(path) };
	ask = (struct report_ask){ .req = &req,
				   .protocol = "HTTP/1.1",
				   .connect = strcmp(method, "CONNECT") == 0 };
	return &ask;
}
