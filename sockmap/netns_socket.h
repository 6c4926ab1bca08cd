/* SPDX-License-Identifier: Apache-2.0 */
/* netns_socket.h - a socket in another network namespace, made from any thread. */
#ifndef SLUICE_NETNS_SOCKET_H
#define SLUICE_NETNS_SOCKET_H

/* socket() in the namespace THERE, from HERE, in which the calling thread is (-1: that is looked
 * up); both are descriptors as of /proc/PID/ns/net. Returns a descriptor, or a negative errno: also
 * that with which the thread could not go there. One that could not come back would make the
 * sockets of others in the wrong place, so the process ends (abort). */
int netns_socket_at(int there, int here, int family, int type, int protocol);

#endif
