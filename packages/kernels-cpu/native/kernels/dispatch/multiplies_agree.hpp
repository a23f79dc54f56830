#pragma once

#include "kernels/dispatch/kernel_table.hpp"

namespace megascale {

// Multiplies small matrices with `tested` and with `trusted` and compares. Instructions that were
// never run on a machine of the kind at hand must show there that they compute before anything
// relies on them.
bool MultipliesAgree(const GemmKernels& tested, const GemmKernels& trusted);
// The quantized ones, to the bit.
bool MultipliesAgree(const QuantizedKernels& tested, const QuantizedKernels& trusted);

}  // namespace megascale
