/* SPDX-License-Identifier: Apache-2.0 */
/* pods_seen SOCKET [POLL_MS]: what runtime/cri.h tells, one JSON object a line, until it is killed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "cri.h"
#include "pod_cgroup.h"

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void put_text(const char *text)
{
	putchar('"');
	for (; *text; text++)
		if (*text == '"' || *text == '\\' || (unsigned char)*text < 0x20)
			printf("\\u%04x", *text);
		else
			putchar(*text);
	putchar('"');
}

static void put(const char *name, const char *text)
{
	printf(", \"%s\": ", name);
	put_text(text);
}

static void begin_line(const char *news)
{
	printf("{\"news\": \"%s\"", news);
}

static void end_line(void)
{
	printf("}\n");
	fflush(stdout);
}

static void put_pairs(const char *name, const struct cri_pair *pairs, size_t n)
{
	printf(", \"%s\": {", name);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			printf(", ");
		put_text(pairs[i].key);
		printf(": ");
		put_text(pairs[i].value);
	}
	printf("}");
}

static void put_addresses(const struct cri_status *s)
{
	char text[INET6_ADDRSTRLEN];

	printf(", \"addresses\": [");
	for (size_t i = 0; i < s->n_addresses; i++) {
		inet_ntop(s->addresses[i].family, s->addresses[i].ip, text, sizeof(text));
		printf("%s\"%s\"", i > 0 ? ", " : "", text);
	}
	printf("]");
}

static void put_containers(const struct cri_pod *pod)
{
	static const char *const states[] = { "created", "running", "exited", "unknown" };

	printf(", \"containers\": {");
	for (size_t i = 0; i < pod->n_containers; i++) {
		const struct cri_container *c = &pod->containers[i];

		printf("%s", i > 0 ? ", " : "");
		put_text(c->id);
		printf(": [");
		put_text(c->name);
		printf(", %u, \"%s\"]", c->attempt, states[c->state]);
	}
	printf("}");
}

static void put_cgroup(const struct cri_pod *pod)
{
	static char text[POD_CGROUP_TEXT_MAX];
	static struct pod_cgroup found;
	int r = 0;

	if (pod->status.pid)
		r = pod_cgroup_read(pod->status.pid, text, sizeof(text));
	if (r == 0)
		r = pod_cgroup_find(pod->uid, pod->status.cgroup_parent,
				    pod->status.pid ? text : NULL, &found);
	if (r < 0)
		return;
	put("cgroup", found.path);
	put("cgroup_how", pod_cgroup_how_name(found.how));
}

static void on_pod(void *ctx, enum cri_news news, const struct cri_pod *pod)
{
	static const char *const names[] = { "appeared", "changed", "vanished" };

	begin_line(names[news]);
	put("id", pod->id);
	put("name", pod->name);
	put("namespace", pod->namespace);
	put("uid", pod->uid);
	printf(", \"ready\": %s", pod->ready ? "true" : "false");
	put_pairs("labels", pod->labels, pod->n_labels);
	put_pairs("annotations", pod->annotations, pod->n_annotations);
	put_containers(pod);
	printf(", \"known\": %s, \"host_network\": %s, \"pid\": %d",
	       pod->status.known ? "true" : "false", pod->status.host_network ? "true" : "false",
	       pod->status.pid);
	put_addresses(&pod->status);
	put("netns", pod->status.netns);
	put("cgroup_parent", pod->status.cgroup_parent);
	put_cgroup(pod);
	end_line();
}

static void on_synced(void *ctx, const char *runtime)
{
	begin_line("synced");
	put("runtime", runtime);
	end_line();
}

static void on_trouble(void *ctx, const char *what)
{
	begin_line("trouble");
	put("what", what);
	end_line();
}

int main(int argc, char **argv)
{
	static const struct cri_watcher watcher = { .on_pod = on_pod,
						    .on_synced = on_synced,
						    .on_trouble = on_trouble };
	struct cri_options options = { 0 };
	struct cri *cri;

	if (argc < 2) {
		fprintf(stderr, "usage: pods_seen SOCKET [POLL_MS]\n");
		return 2;
	}
	options.path = argv[1];
	options.poll_ms = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
	if (cri_new(&options, &watcher, NULL, &cri) < 0)
		return 1;
	for (;;) {
		uint64_t now = now_ms(), due = cri_deadline(cri);
		struct pollfd p = { .fd = cri_fd(cri), .events = cri_events(cri) };
		int wait = due <= now ? 0 : due - now < 60000 ? (int)(due - now) : 60000;

		if (poll(&p, 1, wait) > 0)
			cri_on_ready(cri, p.revents, now_ms());
		if (cri_deadline(cri) <= now_ms())
			cri_on_time(cri, now_ms());
	}
}
