/* SPDX-License-Identifier: Apache-2.0 */
#include "h1_answer.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include "sluice/array.h"

static const struct answer {
	unsigned status;
	const char *phrase, *body;
} answers[] = {
	{ 400, "Bad Request", "Bad request\r\n" },
	{ 403, "Forbidden", "Access denied\r\n" },
	{ 408, "Request Timeout", "Request timeout\r\n" },
	{ 431, "Request Header Fields Too Large", "Request header fields too large\r\n" },
};

static const struct answer *answer_find(unsigned status)
{
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
		if (answers[i].status == status)
			return &answers[i];
	return NULL;
}

size_t h1_answer_write(const struct exchange *x, char buf[static H1_ANSWER_MAX])
{
	const struct answer *a = answer_find(x->answer);
	const char *connection = "";
	int n;

	assert(a);
	if (x->close)
		connection = "connection: close\r\n";
	else if (x->version == 10)
		connection = "connection: keep-alive\r\n";
	n = snprintf(
		buf, H1_ANSWER_MAX,
		"HTTP/1.1 %u %s\r\ncontent-type: text/plain\r\ncontent-length: %zu\r\n%s\r\n%s",
		a->status, a->phrase, strlen(a->body), connection, x->head ? "" : a->body);
	assert(n > 0 && n < H1_ANSWER_MAX);
	return (size_t)n;
}
