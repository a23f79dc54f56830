#pragma once

#include <immintrin.h>

#include "kernels/gemm_quantised.hpp"

// The f32 side of the quantised multiplies on AVX-512; the files that include it differ in their
// dot products and their flags, hence the namespace.
namespace megascale {
namespace {

template <class L>
struct QuantisedFloats {
  using F = __m512;

  static F Zero() { return _mm512_setzero_ps(); }
  static F LoadFloats(const float* at) { return _mm512_loadu_ps(at); }
  static void StoreFloats(float* at, F f) { _mm512_storeu_ps(at, f); }
  static F LoadScales(const std::uint8_t* at) {
    if constexpr (L::kGroupsPerScaleLine == 1) {
      return LoadFloats(reinterpret_cast<const float*>(at));
    } else {
      const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
      return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
    }
  }
  static F AddScaled(F sums, F products, float row_scale, F scales) {
    const F scaled = _mm512_mul_ps(_mm512_mul_ps(products, _mm512_set1_ps(row_scale)), scales);
    return _mm512_add_ps(sums, scaled);
  }
  // In assembly: GCC takes calls of a function that only fetches ahead for calls without effect.
  static void Prefetch(const void* at) {
    asm volatile("prefetcht0 %0" ::"m"(*static_cast<const char*>(at)));
  }
};

}  // namespace
}  // namespace megascale
