/* SPDX-License-Identifier: Apache-2.0 */
/* fake_runtime.h - what a container runtime says, as frames, for tests and fuzzers of
 * runtime/cri.h: an answer of the server to the call on a stream. */
#ifndef SLUICE_TEST_FAKE_RUNTIME_H
#define SLUICE_TEST_FAKE_RUNTIME_H

#include <stdint.h>
#include "bytes.h"

enum fake_answer {
	FAKE_HELLO,	/* the connection's preface, on no stream */
	FAKE_VERSION,	/* containerd 1.6: no stream of events */
	FAKE_VERSION_2, /* containerd 2.0 */
	FAKE_NO_PODS,
	FAKE_PODS,	 /* "sandbox-a", labelled app=web, and "sandbox-b" */
	FAKE_POD_B,	 /* the second alone */
	FAKE_CONTAINERS, /* one of sandbox-a */
	FAKE_STATUS,	 /* 10.0.0.1, fd00::1, process 42 */
	FAKE_NO_PROCESS, /* the same without the process */
	FAKE_CONTAINER,	 /* of process 43 */
	FAKE_EVENT,	 /* the stream goes on */
	FAKE_GONE,	 /* NOT_FOUND */
	FAKE_BROKEN,	 /* bytes that are no message */
	FAKE_MAX
};

/* A connection to the runtime: returns the client's end, *SERVER is the other one. That of the
 * connection before it, or -1, is closed. */
int fake_accept(int *server);

void fake_say(struct bytes *to, uint32_t stream, enum fake_answer what);
/* LEN bytes as the message of an answer. */
void fake_say_message(struct bytes *to, uint32_t stream, const void *message, size_t len);

#endif
