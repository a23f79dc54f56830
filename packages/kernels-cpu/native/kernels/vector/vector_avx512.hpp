#pragma once

#include <immintrin.h>

#include <cstddef>

#include "runtime/bfloat16.hpp"

namespace megascale {

// Sixteen f32 lanes in one register. Members as in vector_scalar.hpp.
struct Avx512Vector {
  using F = __m512;

  static constexpr const char* kIsa = "avx512";
  static constexpr int kRows = 6;
  static constexpr int kAttentionRows = 4, kAttentionVectors = 4;
  static constexpr int PanelsFor(int) { return 4; }

  static __mmask16 First(std::size_t count) { return static_cast<__mmask16>((1u << count) - 1u); }
  static F Widen(__m256i x) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
  }
  // To nearest even; NaN stays NaN.
  static __m256i Narrow(F x) {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded =
        _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_mask_mov_epi32(rounded, nan, quiet), 16));
  }

  static F Broadcast(float value) { return _mm512_set1_ps(value); }
  static F Zero() { return _mm512_setzero_ps(); }
  static F Load(const float* from) { return _mm512_loadu_ps(from); }
  static F LoadPartial(const float* from, std::size_t count) {
    return _mm512_maskz_loadu_ps(First(count), from);
  }
  static void Store(float* to, F x) { _mm512_storeu_ps(to, x); }
  static void StorePartial(float* to, F x, std::size_t count) {
    _mm512_mask_storeu_ps(to, First(count), x);
  }
  static F LoadBf16(const bf16* from) {
    return Widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
  static F LoadBf16Partial(const bf16* from, std::size_t count) {
    return Widen(_mm256_maskz_loadu_epi16(First(count), from));
  }
  static void StoreBf16(bf16* to, F x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), Narrow(x));
  }
  static void StoreBf16Partial(bf16* to, F x, std::size_t count) {
    _mm256_mask_storeu_epi16(to, First(count), Narrow(x));
  }
  static F LoadPairFirst(const bf16* from) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(from), 16));
  }
  static F LoadPairSecond(const bf16* from) {
    const __m512i high = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_loadu_si512(from), high));
  }

  static F Add(F a, F b) { return _mm512_add_ps(a, b); }
  static F Subtract(F a, F b) { return _mm512_sub_ps(a, b); }
  static F Multiply(F a, F b) { return _mm512_mul_ps(a, b); }
  static F Divide(F a, F b) { return _mm512_div_ps(a, b); }
  static F Max(F a, F b) { return _mm512_max_ps(a, b); }
  static F Min(F a, F b) { return _mm512_min_ps(a, b); }
  static F MultiplyAdd(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F PowerOfTwo(F n) {
    const __m512i exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23));
  }
  static F Keep(F x, int begin, int end, float fill) {
    const auto mask = static_cast<__mmask16>(First(static_cast<std::size_t>(end)) &
                                             ~First(static_cast<std::size_t>(begin)));
    return _mm512_mask_mov_ps(_mm512_set1_ps(fill), mask, x);
  }
  static float Sum(F x) {
    const __m256 low = _mm512_castps512_ps256(x);
    const __m256 high = _mm512_extractf32x8_ps(x, 1);
    const __m256 eight = _mm256_add_ps(low, high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  static float Largest(F x) { return _mm512_reduce_max_ps(x); }
  static float SquareRoot(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }
  static void Prefetch(const void* at) { _mm_prefetch(static_cast<const char*>(at), _MM_HINT_T0); }
};

}  // namespace megascale
