/* SPDX-License-Identifier: Apache-2.0 */
/* http.h - the little of HTTP/1 that the benchmark's own server and client need to talk to each
 * other, and to the proxies between them: whole heads, Content-Length bodies, one exchange at a
 * time. No pipelining, no chunks. */
#ifndef BENCH_HTTP_H
#define BENCH_HTTP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define HTTP_HEAD_MAX  2048	    /* of any head; a longer one is an error */
#define HTTP_BLOCK     (256 * 1024) /* bytes of a body that are written or read at once */
#define HTTP_FRAME_MAX 125	    /* payload of a WebSocket frame with the shortest head */
/* The example of RFC 6455, section 1.3: neither end needs SHA-1 then. */
#define HTTP_WS_KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define HTTP_WS_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

/* Bytes of the head that BUF begins with, its empty line included; 0: it is not whole yet. */
static inline size_t http_head_len(const char *buf, size_t len)
{
	const char *end = memmem(buf, len, "\r\n\r\n", 4);

	return end ? (size_t)(end - buf) + 4 : 0;
}

/* The value of a field of the head in BUF, up to the end of its line; NULL if it is not there. NAME
 * is like "\nhost:". */
static inline const char *http_field(const char *buf, size_t len, const char *name)
{
	size_t name_len = strlen(name);

	for (const char *at = buf; (at = memchr(at, '\n', len - (size_t)(at - buf))); at++) {
		if (len - (size_t)(at - buf) < name_len + 2)
			return NULL;
		if (strncasecmp(at, name, name_len) != 0)
			continue;
		at += name_len;
		return at + strspn(at, " ");
	}
	return NULL;
}

static inline uint64_t http_content_length(const char *head, size_t len)
{
	const char *value = http_field(head, len, "\ncontent-length:");

	return value ? strtoull(value, NULL, 10) : 0;
}

/* "Connection: close" in any case of letters; a list of options does not occur here. */
static inline bool http_closes(const char *head, size_t len)
{
	const char *value = http_field(head, len, "\nconnection:");

	return value && strncasecmp(value, "close", 5) == 0;
}

/* Send the next piece of a message: HEAD, then as often as it takes BLOCK, which is HTTP_BLOCK
 * long; TO_SEND bytes in all, of which SENT are gone. Returns what sendmsg() does. */
static inline ssize_t http_send(int fd, const char *head, size_t head_len, const char *block,
				uint64_t sent, uint64_t to_send)
{
	uint64_t body = sent < head_len ? 0 : sent - head_len, left = to_send - head_len - body;
	struct iovec parts[2];
	size_t n = 0;

	if (sent < head_len)
		parts[n++] = (struct iovec){ (char *)head + sent, head_len - (size_t)sent };
	if (left > 0)
		parts[n++] = (struct iovec){ (char *)block,
					     left < HTTP_BLOCK ? (size_t)left : HTTP_BLOCK };
	return sendmsg(fd, &(struct msghdr){ .msg_iov = parts, .msg_iovlen = n },
		       MSG_NOSIGNAL | MSG_DONTWAIT);
}

#endif
