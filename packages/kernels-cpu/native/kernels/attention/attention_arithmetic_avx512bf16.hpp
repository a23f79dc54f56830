#pragma once

#include <immintrin.h>

#include <cstring>

#include "kernels/vector/vector_avx512.hpp"

namespace megascale {
// Without a name, so that templates over these are this file's own: the linker must not take them
// for those of plain AVX-512.
namespace {

struct Bf16PairsVector : Avx512Vector {};

// VDPBF16PS: 32 products of bf16 an instruction. Members as in attention_arithmetic.hpp.
struct Bf16Pairs {
  using V = Bf16PairsVector;
  using F = __m512;
  using Element = bf16;
  using Pairs = __m512bh;

  static constexpr int kRows = 6;
  static constexpr int kVectors = 4;

  static Pairs Broadcast(const Element* from) {
    int pair;
    std::memcpy(&pair, from, sizeof pair);
    return reinterpret_cast<Pairs>(_mm512_set1_epi32(pair));
  }
  static Pairs Load(const bf16* from) { return reinterpret_cast<Pairs>(_mm512_loadu_si512(from)); }
  static Pairs LoadFirst(const bf16* from) {
    return reinterpret_cast<Pairs>(
        _mm512_and_si512(_mm512_loadu_si512(from), _mm512_set1_epi32(0xffff)));
  }
  static Pairs LoadSecond(const bf16* from) {
    const __m512i high = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
    return reinterpret_cast<Pairs>(_mm512_and_si512(_mm512_loadu_si512(from), high));
  }
  static F MultiplyAdd(Pairs a, Pairs b, F sum) { return _mm512_dpbf16_ps(sum, a, b); }

  static void Store(Element* to, F x) {
    const __m256bh narrow = _mm512_cvtneps_pbh(x);
    std::memcpy(to, &narrow, sizeof narrow);
  }
  static void CopyPair(const bf16* from, Element* to) { std::memcpy(to, from, 2 * sizeof(bf16)); }
  static void Widen(const std::int8_t* from, std::size_t count, bf16* to) {
    for (std::size_t i = 0; i < count; i += 32) {
      const auto* at = reinterpret_cast<const __m128i*>(from + i);
      const __m512 low = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(at)));
      const __m512 high = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(at + 1)));
      const __m512bh both = _mm512_cvtne2ps_pbh(high, low);
      std::memcpy(to + i, &both, sizeof both);
    }
  }
};

}  // namespace
}  // namespace megascale
