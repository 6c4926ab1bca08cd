/* SPDX-License-Identifier: Apache-2.0 */
/* What a container runtime sends, chosen by the input: good answers, messages of any bytes, frames
 * of any bytes, silence, the end of the connection. Whatever it is, a pod is told before it changes
 * or vanishes, and what is told of it can be read. */
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "cri.h"
#include "fake_runtime.h"
#include "pod_cgroup.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum op {
	OP_ANSWER,  /* stream, which of them */
	OP_MESSAGE, /* stream, length, bytes: the message of an answer */
	OP_BYTES,   /* length, bytes: on the connection */
	OP_TIME,    /* tenths of a second */
	OP_END,
	OP_REFRESH,
	OP_MAX
};

struct scene {
	struct cri *cri;
	int server;
	uint64_t now;
	long pods; /* told, and not vanished */
};

struct input {
	const uint8_t *at, *end;
};

static unsigned take(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static void on_pod(void *ctx, enum cri_news news, const struct cri_pod *pod)
{
	static struct pod_cgroup found;
	struct scene *s = ctx;
	size_t len = strlen(pod->id) + strlen(pod->name) + strlen(pod->namespace);

	s->pods += news == CRI_APPEARED;
	REQUIRE(s->pods > 0);
	s->pods -= news == CRI_VANISHED;
	for (size_t i = 0; i < pod->n_labels; i++) {
		len += strlen(pod->labels[i].key) + strlen(pod->labels[i].value);
		REQUIRE(i == 0 || strcmp(pod->labels[i - 1].key, pod->labels[i].key) <= 0);
	}
	for (size_t i = 0; i < pod->n_containers; i++)
		len += strlen(pod->containers[i].id) + strlen(pod->containers[i].name);
	REQUIRE(len < 2 << 20);
	REQUIRE(pod->status.pid >= 0 && pod->status.n_addresses <= CRI_ADDRESSES_MAX);
	REQUIRE(strlen(pod->status.netns) < sizeof(pod->status.netns));
	if (pod_cgroup_find(pod->uid, pod->status.cgroup_parent, NULL, &found) == 0)
		REQUIRE(found.path[0] == '/');
	pod_cgroup_find(pod->uid, NULL, pod->name, &found);
}

static int on_connect(void *ctx, const char *path)
{
	struct scene *s = ctx;

	return fake_accept(&s->server);
}

static void turn(struct scene *s, uint64_t later)
{
	char heard[4096];

	s->now += later;
	cri_on_time(s->cri, s->now);
	for (int i = 0; i < 3; i++)
		cri_on_ready(s->cri, POLLIN | POLLOUT, s->now);
	while (s->server >= 0 && recv(s->server, heard, sizeof(heard), 0) > 0)
		; /* there is always room */
	cri_on_time(s->cri, s->now);
}

static void say(struct scene *s, struct bytes *frames)
{
	if (s->server >= 0 && frames->len > 0)
		send(s->server, frames->data, frames->len, MSG_NOSIGNAL);
	bytes_free(frames);
	turn(s, 0);
}

static size_t take_bytes(struct input *in)
{
	size_t len = take(in);

	return len < (size_t)(in->end - in->at) ? len : (size_t)(in->end - in->at);
}

static void do_op(struct scene *s, struct input *in)
{
	struct bytes frames = { 0 };
	uint32_t stream;
	size_t len;

	switch (take(in) % OP_MAX) {
	case OP_ANSWER:
		stream = take(in);
		fake_say(&frames, stream, (enum fake_answer)(take(in) % FAKE_MAX));
		say(s, &frames);
		break;
	case OP_MESSAGE:
		stream = take(in);
		len = take_bytes(in);
		fake_say_message(&frames, stream, in->at, len);
		in->at += len;
		say(s, &frames);
		break;
	case OP_BYTES:
		len = take_bytes(in);
		bytes_add(&frames, in->at, len);
		in->at += len;
		say(s, &frames);
		break;
	case OP_TIME:
		turn(s, 100 * take(in));
		break;
	case OP_END:
		if (s->server >= 0)
			close(s->server);
		s->server = -1;
		turn(s, 0);
		break;
	default:
		cri_refresh(s->cri);
		turn(s, 50);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct cri_watcher watcher = { .on_pod = on_pod };
	struct cri_options options = { .path = "/fake", .connect = on_connect };
	struct scene s = { .server = -1, .now = 1 };
	struct input in = { data, data + size };

	REQUIRE(cri_new(&options, &watcher, &s, &s.cri) == 0);
	turn(&s, 0);
	while (in.at < in.end)
		do_op(&s, &in);
	cri_free(s.cri);
	if (s.server >= 0)
		close(s.server);
	return 0;
}
