/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* steer_event_kind.h - what the BPF programs refuse, and tell; one list for them and for user
 * space. */
#ifndef SLUICE_STEER_EVENT_KIND_H
#define SLUICE_STEER_EVENT_KIND_H

enum steer_event_kind {
	STEER_CONNECT_REFUSED,	   /* connect(): no rule allows the destination */
	STEER_CONNECT_NO_LISTENER, /* connect(): our listener is gone or not reachable from that
				      namespace */
	STEER_SENDMSG_REFUSED,	   /* a datagram: no rule allows its destination */
	STEER_SOCKET_REFUSED,	   /* socket(): MPTCP, SCTP, raw, ICMP ... */
	STEER_PACKET_DROPPED,	   /* the backstop: a packet that no hook has vetted */
	STEER_NO_ROOM,		   /* no room to remember a steered connection: refused */
	STEER_CONNECT_UNSTEERABLE, /* connect(): it has to be read, and its device or scope would be
				      lost on the way */
	STEER_CONNECT_PORT_TAKEN,  /* audit: left alone, since its own port is in use towards our
				      listener */
	STEER_ACCEPT_REFUSED,	   /* a client: no rule allows it */
	STEER_ACCEPT_NO_LISTENER,  /* a client: it has to be read, and our listener is gone */
	STEER_ACCEPT_UNSTEERABLE,  /* a client: it has to be read, and came to a listener of another
				      network namespace or bound to a device */
	STEER_DATAGRAM_REFUSED,	   /* a datagram that came in: no rule allows it */
	STEER_EVENT_MAX,	   /* of what is refused */

	STEER_NETNS_UNKNOWN = STEER_EVENT_MAX, /* no refusal: socket() of a workload in a network
						  namespace that is not registered; at most once a
						  second for each, with its cookie and the id of the
						  thread as pid. Only where more than one can be
						  registered */
	STEER_KIND_MAX,
};

#endif
