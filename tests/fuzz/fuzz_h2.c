/* SPDX-License-Identifier: Apache-2.0 */
/* One direction of an HTTP/2 connection: the events do not depend on where the bytes were cut, and
 * what sluice would write in place of a block says the same.
 *
 * The first byte says which direction, and how large the pieces are. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "h2_trace.h"
#include "h2_write.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Decode BLOCK anew with an empty table, write it, and decode that: nothing may change. */
static void check_written(const uint8_t *block, size_t len)
{
	static struct h2_head head, back;
	static char out[H2_WRITTEN_MAX];
	struct h2 first, second;

	REQUIRE(h2_init(&first, H2_CLIENT) == 0 && h2_init(&second, H2_CLIENT) == 0);
	head.block = (struct span){ (const char *)block, len };
	if (h2_inflate(&first, &head) == 0) {
		size_t n = h2_write_block(out, &head);
		size_t table = nghttp2_hd_inflate_get_num_table_entries(first.inflater);

		REQUIRE(n <= sizeof(out));
		REQUIRE(!h2_block_mutates((struct span){ out, n }));
		REQUIRE(h2_block_mutates(head.block) || table == 61);
		back.block = (struct span){ out, n };
		REQUIRE(h2_inflate(&second, &back) == 0);
		REQUIRE(nghttp2_hd_inflate_get_num_table_entries(second.inflater) == 61);
		REQUIRE(back.n_fields == head.n_fields);
		for (size_t i = 0; i < head.n_fields; i++) {
			REQUIRE(span_eq(back.fields[i].name, head.fields[i].name));
			REQUIRE(span_eq(back.fields[i].value, head.fields[i].value));
			REQUIRE(back.never[i] == head.never[i]);
		}
	}
	h2_done(&first);
	h2_done(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct h2_trace whole, cut;
	enum h2_kind kind;
	size_t step;

	if (size == 0)
		return 0;
	kind = data[0] & 1 ? H2_SERVER : H2_CLIENT;
	step = data[0] / 2u + 1u;
	data++;
	size--;
	h2_trace_all(&whole, kind, (const char *)data, size, 0, 0);
	h2_trace_all(&cut, kind, (const char *)data, size, 0, step);
	REQUIRE(strcmp(whole.text, cut.text) == 0 && whole.released == cut.released);
	check_written(data, size);
	return 0;
}
