#pragma once

#include <immintrin.h>

#include "kernels/gemm_quantized/gemm_quantized.hpp"

// The f32 side of the quantized multiplies on AVX-512; the files that include it differ in their
// dot products and their flags, hence the namespace.
namespace megascale {
namespace {

template <class L>
struct QuantizedFloats {
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

  // As in quantized_rows.hpp, 32 values at a time.
  static std::int32_t QuantizeWholeBlock(const bf16* from, std::size_t block, float* scale,
                                         std::int8_t* to) {
    __m512i largest = _mm512_setzero_si512();
    for (std::size_t i = 0; i < block; i += 32) {
      const __m512i magnitudes =
          _mm512_and_si512(_mm512_loadu_si512(from + i), _mm512_set1_epi16(0x7fff));
      largest = _mm512_max_epu16(largest, magnitudes);
    }
    const BlockScale found = ScaleOf(Largest(largest));
    *scale = found.scale;
    __m512i sums = _mm512_setzero_si512();
    for (std::size_t i = 0; i < block; i += 16) {
      const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i));
      const F x = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
      const F scaled = _mm512_mul_ps(x, _mm512_set1_ps(found.inverse));
      const __m512i bits = _mm512_castps_si512(_mm512_add_ps(scaled, _mm512_set1_ps(kRounder)));
      const __m128i integers = _mm512_cvtepi32_epi8(bits);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), integers);
      sums = _mm512_add_epi32(sums, _mm512_cvtepi8_epi32(integers));
    }
    return _mm512_reduce_add_epi32(sums);
  }

 private:
  static bf16 Largest(__m512i values) {
    const __m256i sixteen =
        _mm256_max_epu16(_mm512_castsi512_si256(values), _mm512_extracti64x4_epi64(values, 1));
    const __m128i eight =
        _mm_max_epu16(_mm256_castsi256_si128(sixteen), _mm256_extracti128_si256(sixteen, 1));
    // There is an instruction for the least of eight.
    const __m128i ones = _mm_set1_epi16(-1);
    const int least = _mm_cvtsi128_si32(_mm_minpos_epu16(_mm_xor_si128(eight, ones)));
    return static_cast<bf16>(~least & 0xffff);
  }
};

}  // namespace
}  // namespace megascale
