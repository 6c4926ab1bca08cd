/* SPDX-License-Identifier: Apache-2.0 */
#include "h1_grammar.h"

#define VISIBLE (H1_VALUE | H1_TARGET)
#define TCHAR	(VISIBLE | H1_TOKEN)

/* Bytes that are not named (controls, DEL) belong to no class. */
const uint8_t h1_classes[256] = {
	['\t'] = H1_VALUE,
	[' '] = H1_VALUE,
	['!'] = TCHAR,
	['"'] = VISIBLE,
	['#'] = H1_VALUE | H1_TOKEN,
	['$' ... '\''] = TCHAR,
	['(' ... ')'] = VISIBLE,
	['*' ... '+'] = TCHAR,
	[','] = VISIBLE,
	['-' ... '.'] = TCHAR | H1_NAME,
	['/'] = VISIBLE,
	['0' ... '9'] = TCHAR | H1_NAME | H1_DIGIT | H1_HEXDIGIT,
	[':' ... '@'] = VISIBLE,
	['A' ... 'F'] = TCHAR | H1_NAME | H1_HEXDIGIT,
	['G' ... 'Z'] = TCHAR | H1_NAME,
	['[' ... ']'] = VISIBLE,
	['^'] = TCHAR,
	['_'] = TCHAR | H1_NAME,
	['`'] = TCHAR,
	['a' ... 'f'] = TCHAR | H1_NAME | H1_HEXDIGIT,
	['g' ... 'z'] = TCHAR | H1_NAME,
	['{'] = VISIBLE,
	['|'] = TCHAR,
	['}'] = VISIBLE,
	['~'] = TCHAR | H1_NAME,
	[0x80 ... 0xff] = H1_VALUE,
};
