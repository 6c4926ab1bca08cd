/* SPDX-License-Identifier: Apache-2.0 */
/* notify.h - tells the service manager that started us (sd_notify(3)), if there is one, how far we
 * are. */
#ifndef SLUICE_NOTIFY_H
#define SLUICE_NOTIFY_H

/* STATE is "READY=1", "STOPPING=1" ... What cannot be told is no reason not to go on. */
void notify(const char *state);

#endif
