// SPDX-License-Identifier: Apache-2.0
/* bench_micro: the steps of which a request's cost in sluice consists, one by one.
 *
 *   bench_micro                 the name of each case
 *   bench_micro CASE SECONDS    ns for one, the best of several rounds of that length
 *   bench_micro CASE xN         N times, for a tool that counts the instructions of measured()
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "h1.h"
#include "micro_policy.h"
#include "path.h"
#include "sluice/array.h"

#define ROUNDS 5
#define BATCH  256 /* calls between two looks at the clock */

struct bench;
struct micro_case {
	const char *name;
	void (*once)(struct bench *b, unsigned i);
	const char *text;      /* a head, or a path */
	enum h1_kind kind;     /* of the head */
	unsigned rules;	       /* of the policy */
	enum micro_path which; /* what the policy is asked for */
};

struct bench {
	const struct micro_case *its;
	size_t len; /* of the case's text */
	struct h1_head head;
	struct path_scratch paths;
	struct micro_policy policy;
};

static void die(const char *what)
{
	fprintf(stderr, "bench_micro: %s\n", what);
	exit(1);
}

static void read_head(struct bench *b, unsigned i)
{
	struct h1 parser;
	enum h1_event event = H1_MORE;

	h1_init(&parser, b->its->kind);
	if (b->its->kind == H1_RESPONSE)
		h1_expect(&parser, false, false);
	if (h1_feed(&parser, b->its->text, b->len, &b->head, &event) != (ssize_t)b->len ||
	    event != H1_HEAD)
		die("the head is not read");
}

static void read_path(struct bench *b, unsigned i)
{
	if (path_readings((struct span){ b->its->text, b->len }, &b->paths) < 1)
		die("the path is not read");
}

static void judge(struct bench *b, unsigned i)
{
	if (!micro_policy_judge(&b->policy, i))
		die("a verdict is not what it should be");
}

static void load(struct bench *b, unsigned i)
{
	struct micro_policy p;

	micro_policy_init(&p, b->its->rules, b->its->which);
	micro_policy_done(&p);
}

#define SMALL_REQUEST                                                                   \
	"GET /service-1/items/42 HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: bench\r\n" \
	"Accept: */*\r\n\r\n"
#define BROWSER_REQUEST                                                                          \
	"GET /shop/items/42?page=2&sort=price HTTP/1.1\r\nHost: shop.bench.test:8080\r\n"        \
	"Connection: keep-alive\r\nCache-Control: max-age=0\r\n"                                 \
	"Upgrade-Insecure-Requests: 1\r\n"                                                       \
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "    \
	"Chrome/126.0.0.0 Safari/537.36\r\n"                                                     \
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"   \
	"*/*;q=0.8\r\n"                                                                          \
	"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\n"      \
	"Sec-Fetch-Dest: document\r\nReferer: http://shop.bench.test:8080/shop/items?page=1\r\n" \
	"Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"     \
	"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes\r\n\r\n"
#define RESPONSE                                                           \
	"HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\n" \
	"Content-Length: 128\r\n\r\n"

static const struct micro_case cases[] = {
	{ "head-request-small", read_head, SMALL_REQUEST, H1_REQUEST, 0, 0 },
	{ "head-request-browser", read_head, BROWSER_REQUEST, H1_REQUEST, 0, 0 },
	{ "head-response", read_head, RESPONSE, H1_RESPONSE, 0, 0 },
	{ "path-plain", read_path, "/service-1/items/42", 0, 0, 0 },
	{ "path-query", read_path, "/shop/items/42?page=2&sort=price", 0, 0, 0 },
	{ "path-escaped-blank", read_path, "/files/annual%20report%202024.pdf", 0, 0, 0 },
	{ "path-dot-segments", read_path, "/static/css/../js/./site.js", 0, 0, 0 },
	{ "path-hidden-slash", read_path, "/static/..%2fadmin", 0, 0, 0 },
	{ "path-hidden-twice", read_path, "/static/..%252fadmin;x=1//y", 0, 0, 0 },
	{ "verdict-literal-10", judge, NULL, 0, 10, MICRO_LITERAL },
	{ "verdict-literal-1000", judge, NULL, 0, 1000, MICRO_LITERAL },
	{ "verdict-literal-10000", judge, NULL, 0, 10000, MICRO_LITERAL },
	{ "verdict-prefix-10", judge, NULL, 0, 10, MICRO_PREFIX },
	{ "verdict-prefix-1000", judge, NULL, 0, 1000, MICRO_PREFIX },
	{ "verdict-prefix-10000", judge, NULL, 0, 10000, MICRO_PREFIX },
	{ "verdict-regex-10", judge, NULL, 0, 10, MICRO_REGEX },
	{ "verdict-regex-1000", judge, NULL, 0, 1000, MICRO_REGEX },
	{ "verdict-denied-10", judge, NULL, 0, 10, MICRO_DENIED },
	{ "verdict-denied-1000", judge, NULL, 0, 1000, MICRO_DENIED },
	{ "load-literal-1000", load, NULL, 0, 1000, MICRO_LITERAL },
	{ "load-regex-10", load, NULL, 0, 10, MICRO_REGEX },
};

/* Its own function, by whose name instructions are counted. */
__attribute__((noinline)) void measured(struct bench *b, unsigned begin, unsigned end);
void measured(struct bench *b, unsigned begin, unsigned end)
{
	for (unsigned i = begin; i < end; i++)
		b->its->once(b, i);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Others use this machine too: the best round is the one that they disturbed least. */
static double best_ns(struct bench *b, double seconds)
{
	unsigned batch = b->its->once == load ? 1 : BATCH;
	double best = 0;

	for (int round = 0; round < ROUNDS; round++) {
		double begin = now(), took;
		unsigned n = 0;

		do {
			measured(b, n, n + batch);
			n += batch;
			took = now() - begin;
		} while (took < seconds);
		if (round == 0 || took / n < best)
			best = took / n;
	}
	return best * 1e9;
}

static const struct micro_case *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (strcmp(cases[i].name, name) == 0)
			return &cases[i];
	die("no such case");
	return NULL;
}

static void run(const struct micro_case *its, const char *how)
{
	struct bench *b = calloc(1, sizeof(*b));

	if (!b)
		die("out of memory");
	b->its = its;
	b->len = its->text ? strlen(its->text) : 0;
	if (its->once == judge)
		micro_policy_init(&b->policy, its->rules, its->which);
	measured(b, 0, 1); /* whatever is made at the first use */
	if (how[0] == 'x')
		measured(b, 0, (unsigned)strtoul(how + 1, NULL, 10));
	else
		printf("%.2f\n", best_ns(b, strtod(how, NULL)));
	if (its->once == judge)
		micro_policy_done(&b->policy);
	path_scratch_done(&b->paths);
	free(b);
}

int main(int argc, char **argv)
{
	if (argc == 3) {
		run(find(argv[1]), argv[2]);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		puts(cases[i].name);
	return 0;
}
