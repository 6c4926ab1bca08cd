/* SPDX-License-Identifier: Apache-2.0 */
#include "look.h"
#include <poll.h>
#include "scene.h"

char look_next_byte(int conn, int ms)
{
	struct pollfd p = { conn, POLLIN, 0 };
	char c = 0;

	return poll(&p, 1, ms) == 1 && read(conn, &c, 1) == 1 ? c : 0;
}
