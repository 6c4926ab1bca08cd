/* SPDX-License-Identifier: Apache-2.0 */
/* Both directions of an HTTP/1 connection at once, chosen by the input; see relay_ops.h.
 *
 * The stage holds the relay to its contract, the model beside it to what sluice promises. */
#include <stddef.h>
#include <stdint.h>
#include "relay_model.h"
#include "relay_ops.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct stage stage;
	static struct relay_model model;

	stage_begin(&stage);
	model_begin(&model, &stage);
	ops_play(data, size, &model);
	stage_done(&stage);
	return 0;
}
