/* SPDX-License-Identifier: Apache-2.0 */
/* cmd.h - the subcommands. Each gets its own arguments (argv[0] is its name) and returns the exit
 * status. */
#ifndef SLUICE_CMD_H
#define SLUICE_CMD_H

/* sluice's own failures, chosen as env(1), nice(1) and others do, so that they are told from the
 * command's. */
#define EXIT_USAGE	2
#define EXIT_SLUICE	125 /* sluice itself failed; the command was not started */
#define EXIT_CANNOT_RUN 126 /* the command was found and could not be executed */
#define EXIT_NOT_FOUND	127

int cmd_run(int argc, char **argv);
int cmd_agent(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_cleanup(int argc, char **argv);
int cmd_status(int argc, char **argv);

#endif
