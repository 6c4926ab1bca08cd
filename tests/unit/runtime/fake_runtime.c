/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_runtime.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "h2_text.h"

#define HEAD "HEADERS $ h :status=200|content-type=application/grpc\n"

int fake_accept(int *server)
{
	int ends[2];

	if (*server >= 0)
		close(*server);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) < 0)
		abort();
	*server = ends[1];
	return ends[0];
}

/* A field of a message; all that are used here are short. */
static void put(struct bytes *to, unsigned number, const void *data, size_t len)
{
	uint8_t tag[] = { (uint8_t)(number << 3 | 2), (uint8_t)(0x80 | (len & 0x7f)),
			  (uint8_t)(len >> 7) };

	bytes_add(to, tag, sizeof(tag));
	bytes_add(to, data, len);
}

static void put_text(struct bytes *to, unsigned number, const char *text)
{
	put(to, number, text, strlen(text));
}

static void put_number(struct bytes *to, unsigned number, unsigned value)
{
	uint8_t field[] = { (uint8_t)(number << 3), (uint8_t)value };

	bytes_add(to, field, sizeof(field));
}

static void put_part(struct bytes *to, unsigned number, struct bytes *part)
{
	put(to, number, part->data ? part->data : "", part->len);
	bytes_free(part);
}

static void put_pair(struct bytes *to, unsigned number, const char *key, const char *value)
{
	struct bytes pair = { 0 };

	put_text(&pair, 1, key);
	put_text(&pair, 2, value);
	put_part(to, number, &pair);
}

static void put_version(struct bytes *to, const char *version)
{
	put_text(to, 2, "containerd");
	put_text(to, 3, version);
}

static void put_pod(struct bytes *to, const char *id, const char *name)
{
	struct bytes pod = { 0 }, metadata = { 0 };

	put_text(&metadata, 1, name);
	put_text(&metadata, 2, "88888888-2222-3333-4444-555555555555");
	put_text(&metadata, 3, "default");
	put_text(&pod, 1, id);
	put_part(&pod, 2, &metadata);
	put_pair(&pod, 5, "tier", "front");
	put_pair(&pod, 5, "app", name);
	put_part(to, 1, &pod);
}

static void put_container(struct bytes *to)
{
	struct bytes container = { 0 }, metadata = { 0 };

	put_text(&metadata, 1, "main");
	put_text(&container, 1, "container-1");
	put_text(&container, 2, "sandbox-a");
	put_part(&container, 3, &metadata);
	put_number(&container, 6, 1);
	put_part(to, 1, &container);
}

static void put_status(struct bytes *to, const char *process)
{
	struct bytes status = { 0 }, network = { 0 }, ip = { 0 };
	char info[512];

	put_text(&ip, 1, "fd00::1");
	put_text(&network, 1, "10.0.0.1");
	put_part(&network, 2, &ip);
	put_part(&status, 5, &network);
	put_part(to, 1, &status);
	snprintf(info, sizeof(info),
		 "{\"pid\":%s,\"config\":{\"linux\":{\"cgroup_parent\":\"/kubepods/podx\"}},"
		 "\"runtimeSpec\":{\"linux\":{\"namespaces\":[{\"type\":\"pid\"},"
		 "{\"type\":\"network\",\"path\":\"/var/run/netns/cni-1\"}]}}}",
		 process);
	put_pair(to, 2, "info", info);
}

static void put_message(struct bytes *to, enum fake_answer what)
{
	switch (what) {
	case FAKE_VERSION:
		put_version(to, "1.6.20~ds1");
		break;
	case FAKE_VERSION_2:
		put_version(to, "v2.0.1");
		break;
	case FAKE_PODS:
		put_pod(to, "sandbox-b", "b"); /* runtimes know no order */
		put_pod(to, "sandbox-a", "a");
		break;
	case FAKE_POD_B:
		put_pod(to, "sandbox-b", "b");
		break;
	case FAKE_CONTAINERS:
		put_container(to);
		break;
	case FAKE_STATUS:
		put_status(to, "42");
		break;
	case FAKE_NO_PROCESS:
		put_status(to, "0");
		break;
	case FAKE_CONTAINER:
		put_pair(to, 2, "info", "{\"pid\":43}");
		break;
	case FAKE_BROKEN:
		bytes_add(to, "\x0a\xff", 2);
		break;
	default: /* nothing in it */
		break;
	}
}

static void say_data(struct bytes *to, uint32_t stream, const void *message, size_t len)
{
	size_t size = len + 5;
	uint8_t head[14] = { (uint8_t)(size >> 16),
			     (uint8_t)(size >> 8),
			     (uint8_t)size,
			     0,
			     0,
			     (uint8_t)(stream >> 24),
			     (uint8_t)(stream >> 16),
			     (uint8_t)(stream >> 8),
			     (uint8_t)stream,
			     0,
			     0,
			     (uint8_t)(len >> 16),
			     (uint8_t)(len >> 8),
			     (uint8_t)len };

	bytes_add(to, head, sizeof(head));
	bytes_add(to, message, len);
}

void fake_say_message(struct bytes *to, uint32_t stream, const void *message, size_t len)
{
	h2_text_compile(HEAD, stream, to);
	say_data(to, stream, message, len);
	h2_text_compile("HEADERS $ eh grpc-status=0\n", stream, to);
}

void fake_say(struct bytes *to, uint32_t stream, enum fake_answer what)
{
	struct bytes message = { 0 };

	if (what == FAKE_HELLO) {
		h2_text_compile("SETTINGS 0 -\nSETTINGS 0 a\n", 0, to);
	} else if (what == FAKE_GONE) {
		h2_text_compile("HEADERS $ eh :status=200|content-type=application/grpc|"
				"grpc-status=5\n",
				stream, to);
	} else if (what == FAKE_EVENT) {
		h2_text_compile(HEAD, stream, to);
		say_data(to, stream, "", 0);
	} else {
		put_message(&message, what);
		fake_say_message(to, stream, message.data ? message.data : "", message.len);
		bytes_free(&message);
	}
}
