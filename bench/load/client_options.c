// SPDX-License-Identifier: Apache-2.0
#include "client.h"
#include <arpa/inet.h>
#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "http.h"

static const char usage[] =
	"usage: bench_client|bench_h2_client --to ADDRESS:PORT [OPTION]...\n"
	"  --connections N   open at the same time (1)\n"
	"  --seconds S       for how long (1)\n"
	"  --targets FILE    a request target a line, taken in turn (default: /)\n"
	"  --method NAME     (GET)\n"
	"  --body N          bytes that each request carries\n"
	"  --close           a new connection for each request\n"
	"  --websocket N     echo frames of N bytes instead of requests\n"
	"  --expect STATUS   any other answer is counted as unexpected (200)\n"
	"  --hold FILE       one exchange each, then say so and stay until FILE is gone\n"
	"bench_h2_client knows these in the place of --close, --websocket and --hold:\n"
	"  --streams N       open at the same time on each connection (1)\n"
	"  --grpc N          calls of gRPC, with N messages each way of --body bytes, one after\n"
	"                    the other; PERMISSION_DENIED counts as 403, any other failure as 500\n"
	"Prints a line of JSON.\n";

static void read_address(struct options *o, char *text)
{
	char *colon = strrchr(text, ':');

	if (!colon)
		errx(2, "--to takes ADDRESS:PORT");
	*colon = '\0';
	o->to.sin_family = AF_INET;
	o->to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	if (inet_pton(AF_INET, text, &o->to.sin_addr) != 1)
		errx(2, "not an IPv4 address: %s", text);
}

static void add_target(struct options *o, const char *text)
{
	char **more = reallocarray(o->targets, o->n_targets + 1, sizeof(*more));

	if (!more)
		err(1, "out of memory");
	o->targets = more;
	more[o->n_targets] = strdup(text);
	if (!more[o->n_targets])
		err(1, "out of memory");
	o->n_targets++;
}

static void read_targets(struct options *o, const char *path)
{
	char line[HTTP_HEAD_MAX / 2];
	FILE *file = fopen(path, "r");

	if (!file)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0])
			add_target(o, line);
	}
	fclose(file);
}

enum {
	TO = 1,
	CONNECTIONS,
	SECONDS,
	TARGETS,
	METHOD,
	BODY,
	CLOSE,
	WEBSOCKET,
	EXPECT,
	HOLD,
	STREAMS,
	GRPC
};
static const struct option known[] = {
	{ "to", required_argument, NULL, TO },
	{ "connections", required_argument, NULL, CONNECTIONS },
	{ "seconds", required_argument, NULL, SECONDS },
	{ "targets", required_argument, NULL, TARGETS },
	{ "method", required_argument, NULL, METHOD },
	{ "body", required_argument, NULL, BODY },
	{ "close", no_argument, NULL, CLOSE },
	{ "websocket", required_argument, NULL, WEBSOCKET },
	{ "expect", required_argument, NULL, EXPECT },
	{ "hold", required_argument, NULL, HOLD },
	{ "streams", required_argument, NULL, STREAMS },
	{ "grpc", required_argument, NULL, GRPC },
	{ NULL, 0, NULL, 0 },
};

static void read_option(struct options *o, int which)
{
	switch (which) {
	case TO:
		read_address(o, optarg);
		break;
	case CONNECTIONS:
		o->connections = (unsigned)strtoul(optarg, NULL, 10);
		break;
	case SECONDS:
		o->seconds = strtod(optarg, NULL);
		break;
	case TARGETS:
		read_targets(o, optarg);
		break;
	case METHOD:
		o->method = optarg;
		break;
	case BODY:
		o->body = strtoull(optarg, NULL, 10);
		break;
	case CLOSE:
		o->close = true;
		break;
	case WEBSOCKET:
		o->websocket = (unsigned)strtoul(optarg, NULL, 10);
		break;
	case EXPECT:
		o->expect = (unsigned)strtoul(optarg, NULL, 10);
		break;
	case HOLD:
		o->hold = optarg;
		break;
	case STREAMS:
		o->streams = (unsigned)strtoul(optarg, NULL, 10);
		break;
	case GRPC:
		o->messages = (unsigned)strtoul(optarg, NULL, 10);
		break;
	default:
		fputs(usage, stderr);
		exit(2);
	}
}

void options_read(struct options *o, int argc, char **argv)
{
	int which;

	*o = (struct options){
		.connections = 1, .streams = 1, .seconds = 1, .method = "GET", .expect = 200
	};
	while ((which = getopt_long(argc, argv, "", known, NULL)) != -1)
		read_option(o, which);
	if (optind != argc || !o->to.sin_family || o->connections == 0 || o->streams == 0 ||
	    o->websocket > HTTP_FRAME_MAX) {
		fputs(usage, stderr);
		exit(2);
	}
	if (o->n_targets == 0)
		add_target(o, "/");
}

void options_done(struct options *o)
{
	for (size_t i = 0; i < o->n_targets; i++)
		free(o->targets[i]);
	free(o->targets);
}
