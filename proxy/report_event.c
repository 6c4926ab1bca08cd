/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of what the kernel refused. */
#include <netinet/in.h>
#include <string.h>
#include "report_private.h"

static const char *protocol_name(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return "TCP";
	case IPPROTO_UDP:
		return "UDP";
	case IPPROTO_ICMP:
		return "ICMP";
	case IPPROTO_ICMPV6:
		return "ICMPv6";
	case IPPROTO_SCTP:
		return "SCTP";
	default:
		return "another protocol";
	}
}

static const struct {
	const char *what, *why;
} event_texts[STEER_EVENT_MAX] = {
	[STEER_CONNECT_REFUSED] = { "connect", "no rule allows it" },
	[STEER_CONNECT_NO_LISTENER] = { "connect", "it has to be read, and sluice cannot be "
						   "reached from there" },
	[STEER_SENDMSG_REFUSED] = { "datagram", "no rule allows it" },
	[STEER_SOCKET_REFUSED] = { "socket", "only TCP and UDP can be held to a policy" },
	[STEER_PACKET_DROPPED] = { "packet", "it came past the checks of its socket" },
	[STEER_NO_ROOM] = { "connect", "too many connections are being opened at once" },
	[STEER_CONNECT_UNSTEERABLE] = { "connect", "it has to be read, and its link-local address "
						   "or its device would be lost" },
	[STEER_CONNECT_PORT_TAKEN] = { "connect", "it has to be read, and its own port is in use "
						  "already" },
	[STEER_ACCEPT_REFUSED] = { "connection", "no rule allows it" },
	[STEER_ACCEPT_NO_LISTENER] = { "connection", "it has to be read, and sluice is not there "
						     "to do it" },
	[STEER_ACCEPT_UNSTEERABLE] = { "connection", "it has to be read, and cannot be where that "
						     "server listens" },
	[STEER_DATAGRAM_REFUSED] = { "datagram", "no rule allows it" },
};

static void add_process(struct text *t, uint32_t pid, const char command[16])
{
	text_addf(t, ",\"process\":{\"pid\":%u,\"command\":\"", pid);
	text_add_json(t, (struct span){ command, strnlen(command, 16) });
	text_add(t, "\"}");
}

void report_event(struct reporter *r, const struct steer_event *e)
{
	char buf[REPORT_RECORD_MAX], line[REPORT_LINE_MAX];
	struct text t = TEXT_INIT(buf), summary = TEXT_INIT(line);
	bool ingress = e->source.family != 0;

	if (e->kind >= STEER_EVENT_MAX)
		return;
	report_add_ends(&summary, event_texts[e->kind].what, ingress ? &e->source : NULL,
			&e->destination);
	text_addf(&summary, " (%s): %s", protocol_name(e->protocol), event_texts[e->kind].why);
	report_sum_up(r, e->audit, &summary);
	if (!r->log)
		return;
	report_begin_ends(r, &t, e->audit ? "AUDIT" : "DROPPED", ingress, &e->source,
			  &e->destination);
	text_addf(&t, ",\"l4\":{\"protocol\":\"%s\"}", protocol_name(e->protocol));
	if (e->pid) /* a packet has none */
		add_process(&t, e->pid, e->command);
	text_addf(&t, ",\"reason\":\"%s: %s\",\"lane\":\"kernel\"", event_texts[e->kind].what,
		  event_texts[e->kind].why);
	report_push(r, &t);
}

void report_foreign(struct reporter *r, const struct steer_foreign *f)
{
	static const struct address nobody;
	char buf[REPORT_RECORD_MAX];
	struct text t = TEXT_INIT(buf);

	if (!r->log)
		return;
	report_begin_ends(r, &t, "ERROR", true, &nobody, &f->at);
	text_add(&t, ",\"l4\":{\"protocol\":\"TCP\"}");
	add_process(&t, f->pid, f->command);
	text_add(&t,
		 ",\"reason\":\"listener: it was made in another cgroup, what comes to it is not "
		 "held\",\"lane\":\"kernel\"");
	report_push(r, &t);
}
