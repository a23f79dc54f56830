#include <immintrin.h>

#include "bounds/bound_loops.hpp"

namespace megascale {
namespace {

constexpr std::size_t kAhead = 1024, kLine = 64;

template <int Streams>
std::uint64_t ReadStreams(const std::uint8_t* data, std::size_t bytes) {
  const std::size_t part = bytes / Streams;
  __m512i seen[Streams];
  for (int s = 0; s < Streams; ++s) seen[s] = _mm512_setzero_si512();
  for (std::size_t at = 0; at < part; at += kLine) {
#pragma GCC unroll 8
    for (int s = 0; s < Streams; ++s) {
      const std::uint8_t* line = data + static_cast<std::size_t>(s) * part + at;
      _mm_prefetch(reinterpret_cast<const char*>(line + kAhead), _MM_HINT_T0);
      seen[s] = _mm512_xor_si512(seen[s], _mm512_loadu_si512(line));
    }
  }
  for (int s = 1; s < Streams; ++s) seen[0] = _mm512_xor_si512(seen[0], seen[s]);
  std::uint64_t words[8];
  _mm512_storeu_si512(words, seen[0]);
  for (int i = 1; i < 8; ++i) words[0] ^= words[i];
  return words[0];
}

std::uint64_t Read(const std::uint8_t* data, std::size_t bytes, int streams) {
  switch (streams) {
    case 1:
      return ReadStreams<1>(data, bytes);
    case 2:
      return ReadStreams<2>(data, bytes);
    case 4:
      return ReadStreams<4>(data, bytes);
    default:
      return ReadStreams<8>(data, bytes);
  }
}

// VFMADD231PS: 16 lanes, a multiplication and an addition each.
constexpr int kChains = 16;

void MultiplyAdd(std::size_t rounds) {
  __m512 sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(0.001f);
  for (std::size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i)
      asm volatile("vfmadd213ps %2, %1, %0" : "+v"(sums[i]) : "v"(x), "v"(y));
  }
}

}  // namespace

extern const BoundLoops kAvx512Bounds = {.read = Read,
                                         .multiply_add = MultiplyAdd,
                                         .flops_per_round = kChains * 16 * 2.0,
                                         .instruction = "VFMADD231PS zmm"};

}  // namespace megascale
