#include <immintrin.h>

#include "bounds/bound_loops.hpp"

namespace megascale {
namespace {

// VDPBF16PS: 16 lanes, two multiplications and two additions each.
constexpr int kChains = 16;

void MultiplyAdd(std::size_t rounds) {
  __m512 sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512 x = _mm512_set1_ps(1.0f), y = _mm512_set1_ps(0.001f);
  for (std::size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i)
      asm volatile("vdpbf16ps %2, %1, %0" : "+v"(sums[i]) : "v"(x), "v"(y));
  }
}

}  // namespace

// Reading is that of AVX-512: see BoundLoopsFor.
extern const BoundLoops kAvx512Bf16Bounds = {.read = nullptr,
                                             .multiply_add = MultiplyAdd,
                                             .flops_per_round = kChains * 16 * 4.0,
                                             .instruction = "VDPBF16PS zmm"};

}  // namespace megascale
