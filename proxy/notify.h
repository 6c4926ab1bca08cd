/* SPDX-License-Identifier: Apache-2.0 */
/* notify.h - tells whoever has started us, as systemd's Type=notify has it, how far we are. */
#ifndef SLUICE_NOTIFY_H
#define SLUICE_NOTIFY_H

/* Send STATE ("READY=1", "STOPPING=1"; lines) to the socket that NOTIFY_SOCKET names. Never waits.
 * Returns 0, also where nobody wants to know, or a negative errno. */
int notify_send(const char *state);

#endif
