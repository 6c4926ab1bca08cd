/* SPDX-License-Identifier: Apache-2.0 */
/* h2_write.h - writes the frames that sluice sends itself. Pure functions into the caller's buffer.
 *
 * Header blocks use literals that are not indexed, and of HPACK's tables only the static one: so
 * there is no encoder to keep in step with anybody's decoder. */
#ifndef SLUICE_H2_WRITE_H
#define SLUICE_H2_WRITE_H

#include "h2.h"

/* What one field takes at most, beside its name and value: an opcode and two lengths. */
#define H2_FIELD_OVERHEAD 11
/* A size update. */
#define H2_RESIZE_MAX 6
/* A whole block of h2_write_block(). */
#define H2_WRITTEN_MAX (H2_LIST_MAX + H2_FIELDS_MAX * H2_FIELD_OVERHEAD + H2_RESIZE_MAX)

/* All of these return the number of bytes written to OUT. */
size_t h2_write_frame_header(char *out, uint32_t length, uint8_t type, uint8_t flags,
			     uint32_t stream);
size_t h2_write_rst(char *out, uint32_t stream, uint32_t code);		  /* 13 bytes */
size_t h2_write_window_update(char *out, uint32_t stream, uint32_t size); /* 13 bytes */
size_t h2_write_goaway(char *out, uint32_t last, uint32_t code);	  /* 17 bytes */

/* "From here on the table has SIZE bytes", at the begin of a block. */
size_t h2_write_resize(char *out, uint32_t size);
/* One field; NEVER: it must not be indexed by anybody behind us either. */
size_t h2_write_field(char *out, struct span name, struct span value, bool never);
/* All fields of HEAD, in order. */
size_t h2_write_block(char *out, const struct h2_head *head);

#endif
