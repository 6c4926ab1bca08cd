/* SPDX-License-Identifier: Apache-2.0 */
/* reload_say.h - what standard error and the log are told of a change of the policy. */
#ifndef SLUICE_RELOAD_SAY_H
#define SLUICE_RELOAD_SAY_H

struct run;

/* The policy could not be loaded. Once for the same errors: a file that is touched is no news. */
void reload_say_failed(struct run *r);
/* The new policy is in force. */
void reload_say_changed(struct run *r);
/* There is a change which the command could have made, and it is not followed. Once. */
void reload_say_unfollowed(struct run *r);

/* Files cannot be watched, for this reason. */
void reload_say_blind(int error, unsigned seconds);
/* The kernel ends no connections. */
void reload_say_helpless(void);
/* Connections could not be listed, for this reason. */
void reload_say_unlisted(int error);

struct diag;
/* What DIAG says, for the caller to free; NULL when out of memory. */
char *reload_render(const struct diag *diag);

#endif
