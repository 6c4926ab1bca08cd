/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc.h"
#include "path_steps.h"
#include "sluice/array.h"

static bool begins(struct span text, struct span prefix)
{
	return text.len >= prefix.len &&
	       span_eq_nocase((struct span){ text.ptr, prefix.len }, prefix);
}

enum grpc_kind grpc_kind_of(struct span content_type)
{
	static const struct span grpc = SPAN_LITERAL("application/grpc");
	static const struct span web = SPAN_LITERAL("application/grpc-web");

	if (begins(content_type, web))
		return GRPC_WEB;
	if (!begins(content_type, grpc))
		return GRPC_NONE;
	if (content_type.len == grpc.len)
		return GRPC_CALL;
	switch (content_type.ptr[grpc.len]) {
	case '+':
	case ';':
	case ' ':
	case '\t':
		return GRPC_CALL;
	default:
		return GRPC_NONE;
	}
}

bool grpc_split_path(struct span path, struct span *service, struct span *method)
{
	const char *slash;
	size_t n;

	if (path.len < 4 || path.ptr[0] != '/' || memchr(path.ptr, '?', path.len))
		return false;
	slash = memchr(path.ptr + 1, '/', path.len - 1);
	if (!slash)
		return false;
	n = (size_t)(slash - path.ptr);
	if (n == 1 || n + 1 == path.len || memchr(slash + 1, '/', path.len - n - 1))
		return false;
	*service = (struct span){ path.ptr + 1, n - 1 };
	*method = (struct span){ slash + 1, path.len - n - 1 };
	return true;
}

int grpc_status(struct span value)
{
	int n = 0;

	if (value.len == 0 || value.len > 3)
		return -1;
	for (size_t i = 0; i < value.len; i++) {
		if (value.ptr[i] < '0' || value.ptr[i] > '9')
			return -1;
		n = n * 10 + (value.ptr[i] - '0');
	}
	return n;
}

const char *grpc_status_name(int status)
{
	static const char *const names[] = {
		"OK",
		"CANCELLED",
		"UNKNOWN",
		"INVALID_ARGUMENT",
		"DEADLINE_EXCEEDED",
		"NOT_FOUND",
		"ALREADY_EXISTS",
		"PERMISSION_DENIED",
		"RESOURCE_EXHAUSTED",
		"FAILED_PRECONDITION",
		"ABORTED",
		"OUT_OF_RANGE",
		"UNIMPLEMENTED",
		"INTERNAL",
		"UNAVAILABLE",
		"DATA_LOSS",
		"UNAUTHENTICATED",
	};

	return status >= 0 && status < (int)ARRAY_SIZE(names) ? names[status] : NULL;
}

size_t grpc_message(struct span value, char *buf, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < value.len && n < size; i++) {
		int escaped = path_escape(value.ptr + i, value.ptr + value.len);

		buf[n++] = escaped < 0 ? value.ptr[i] : (char)escaped;
		i += escaped < 0 ? 0 : 2;
	}
	return n;
}
