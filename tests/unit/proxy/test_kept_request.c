/* SPDX-License-Identifier: Apache-2.0 */
/* What requests in flight hold, and where that ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "fail_alloc.h"
#include "kept_request.h"

/* A copy is counted, and as much as there is room for is made. */
static void test_requests(void **state)
{
	struct header field = { SPAN_LITERAL("a"), SPAN_LITERAL("b") };
	struct request req = { .method = SPAN_LITERAL("GET"),
			       .path = SPAN_LITERAL("/"),
			       .authority = SPAN_LITERAL("h"),
			       .headers = &field,
			       .n_headers = 1 };
	struct kept kept = { .max = KEPT_MAX };
	struct kept_request *a = kept_request_new(&kept, &req), *b;

	assert_non_null(a);
	assert_int_equal(kept.bytes, a->size);
	assert_true(span_eq(a->req.headers[0].value, SPAN_LITERAL("b")));
	kept.max = 2 * kept.bytes - 1;
	assert_null(kept_request_new(&kept, &req));
	kept.max++;
	b = kept_request_new(&kept, &req);
	assert_non_null(b);
	kept_request_unref(&kept, b);
	fail_alloc_at(1);
	assert_null(kept_request_new(&kept, &req));
	fail_alloc_at(0);
	kept_request_unref(&kept, a);
	assert_int_equal(kept.bytes, 0);
}

/* What streams and records may hold: just that much, and it comes back. */
static void test_kept_memory(void **state)
{
	struct kept kept = { 0 };
	size_t one;
	void *a = kept_malloc(&kept, 100), *b;

	assert_non_null(a);
	one = kept.others;
	assert_true(one >= 100 && one <= 132);
	kept.others = KEPT_OTHERS_MAX - one;
	b = kept_malloc(&kept, 100);
	assert_non_null(b);
	assert_int_equal(kept.others, KEPT_OTHERS_MAX);
	assert_null(kept_malloc(&kept, 1));
	kept_free(&kept, b);
	kept.others = one;
	fail_alloc_at(1);
	assert_null(kept_malloc(&kept, 1));
	fail_alloc_at(0);
	kept_free(&kept, a);
	kept_free(&kept, NULL);
	assert_int_equal(kept.others, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_kept_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
