/* SPDX-License-Identifier: Apache-2.0 */
#include "h1_answer.h"
#include <assert.h>
#include <string.h>
#include "sluice/array.h"

/* Denials can be most of what there is to do, so nothing is formatted for them. */
#define HEAD(line, length) \
	"HTTP/1.1 " line "\r\ncontent-type: text/plain\r\ncontent-length: " #length "\r\n"

static const struct answer {
	unsigned status;
	const char *head, *body; /* HEAD: as far as it is the same for all */
} answers[] = {
	{ 400, HEAD("400 Bad Request", 13), "Bad request\r\n" },
	{ 403, HEAD("403 Forbidden", 15), "Access denied\r\n" },
	{ 408, HEAD("408 Request Timeout", 17), "Request timeout\r\n" },
	{ 431, HEAD("431 Request Header Fields Too Large", 33),
	  "Request header fields too large\r\n" },
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
	char *end = buf;

	assert(a);
	end = stpcpy(end, a->head);
	if (x->close)
		end = stpcpy(end, "connection: close\r\n");
	else if (x->version == 10)
		end = stpcpy(end, "connection: keep-alive\r\n");
	end = stpcpy(end, "\r\n");
	if (!x->head)
		end = stpcpy(end, a->body);
	assert(end < buf + H1_ANSWER_MAX);
	return (size_t)(end - buf);
}
