#include "kernels/attention/attention_arithmetic_avx512bf16.hpp"

#include "kernels/attention/attention.hpp"

namespace megascale {

extern const AttentionKernels kBf16PairsAttention = MakeAttention<Bf16Pairs>();

}  // namespace megascale
