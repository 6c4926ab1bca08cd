/* SPDX-License-Identifier: Apache-2.0 */
/* grpc.h - the messages of gRPC on the streams of h2_end.h: five bytes of prefix, then the message
 * itself, in DATA frames cut anywhere. */
#ifndef BENCH_GRPC_H
#define BENCH_GRPC_H

#include "h2_end.h"

#define GRPC_PREFIX 5

/* One message of gRPC: its prefix and LEN bytes, as a DATA frame. */
void grpc_put(struct h2_end *e, struct h2_stream *s, uint32_t len, bool end);
/* How many messages of gRPC these bytes complete. */
unsigned grpc_read(struct h2_stream *s, const char *bytes, size_t len);

#endif
