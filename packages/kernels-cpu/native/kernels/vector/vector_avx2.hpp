#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstring>

#include "runtime/bfloat16.hpp"

namespace megascale {

// Sixteen f32 lanes in two registers. Members as in vector_scalar.hpp.
struct Avx2Vector {
  struct F {
    __m256 low, high;
  };

  static constexpr const char* kIsa = "avx2";
  static constexpr int kRows = 4;
  static constexpr int kAttentionRows = 4, kAttentionVectors = 1;
  static constexpr int PanelsFor(int rows) { return rows == 1 ? 4 : rows == 2 ? 2 : 1; }

  static __m256 Widen(__m128i x) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
  }
  // To nearest even, in the low 16 bits of each lane; NaN stays NaN.
  static __m256i Round(__m256 x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded =
        _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    return _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
  }
  static __m256i Narrow(const F& x) {
    const __m256i packed = _mm256_packus_epi32(Round(x.low), Round(x.high));
    return _mm256_permute4x64_epi64(packed, 0xd8);
  }

  static F Broadcast(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
  static F Zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static F Load(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
  static F LoadPartial(const float* from, std::size_t count) {
    float lanes[16] = {};
    std::memcpy(lanes, from, count * sizeof(float));
    return Load(lanes);
  }
  static void Store(float* to, const F& x) {
    _mm256_storeu_ps(to, x.low);
    _mm256_storeu_ps(to + 8, x.high);
  }
  static void StorePartial(float* to, const F& x, std::size_t count) {
    float lanes[16];
    Store(lanes, x);
    std::memcpy(to, lanes, count * sizeof(float));
  }
  static F LoadBf16(const bf16* from) {
    const auto* at = reinterpret_cast<const __m128i*>(from);
    return {Widen(_mm_loadu_si128(at)), Widen(_mm_loadu_si128(at + 1))};
  }
  static F LoadBf16Partial(const bf16* from, std::size_t count) {
    bf16 lanes[16] = {};
    std::memcpy(lanes, from, count * sizeof(bf16));
    return LoadBf16(lanes);
  }
  static void StoreBf16(bf16* to, const F& x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), Narrow(x));
  }
  static void StoreBf16Partial(bf16* to, const F& x, std::size_t count) {
    bf16 lanes[16];
    StoreBf16(lanes, x);
    std::memcpy(to, lanes, count * sizeof(bf16));
  }
  static __m256i LoadBits(const bf16* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  static F LoadPairFirst(const bf16* from) {
    return {_mm256_castsi256_ps(_mm256_slli_epi32(LoadBits(from), 16)),
            _mm256_castsi256_ps(_mm256_slli_epi32(LoadBits(from + 16), 16))};
  }
  static F LoadPairSecond(const bf16* from) {
    const __m256i high = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
    return {_mm256_castsi256_ps(_mm256_and_si256(LoadBits(from), high)),
            _mm256_castsi256_ps(_mm256_and_si256(LoadBits(from + 16), high))};
  }

  static F Add(const F& a, const F& b) {
    return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
  }
  static F Subtract(const F& a, const F& b) {
    return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
  }
  static F Multiply(const F& a, const F& b) {
    return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
  }
  static F Divide(const F& a, const F& b) {
    return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
  }
  static F Max(const F& a, const F& b) {
    return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
  }
  static F Min(const F& a, const F& b) {
    return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
  }
  static F MultiplyAdd(const F& a, const F& b, const F& c) {
    return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
  }
  static __m256 PowerOfTwo(__m256 n) {
    const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
  }
  static F PowerOfTwo(const F& n) { return {PowerOfTwo(n.low), PowerOfTwo(n.high)}; }
  // Eight lanes, the first of which is lane `first` of the vector.
  static __m256 KeepHalf(__m256 x, int first, int begin, int end, float fill) {
    const __m256i lanes =
        _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(first));
    const __m256i from_begin = _mm256_cmpgt_epi32(lanes, _mm256_set1_epi32(begin - 1));
    const __m256i before_end = _mm256_cmpgt_epi32(_mm256_set1_epi32(end), lanes);
    const __m256 kept = _mm256_castsi256_ps(_mm256_and_si256(from_begin, before_end));
    return _mm256_blendv_ps(_mm256_set1_ps(fill), x, kept);
  }
  static F Keep(const F& x, int begin, int end, float fill) {
    return {KeepHalf(x.low, 0, begin, end, fill), KeepHalf(x.high, 8, begin, end, fill)};
  }
  static float Sum(const F& x) {
    const __m256 eight = _mm256_add_ps(x.low, x.high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  static float Largest(const F& x) {
    const __m256 eight = _mm256_max_ps(x.low, x.high);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  static float SquareRoot(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }
  static void Prefetch(const void* at) { _mm_prefetch(static_cast<const char*>(at), _MM_HINT_T0); }
};

}  // namespace megascale
