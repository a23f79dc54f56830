#include <immintrin.h>

#include "bounds/bound_loops.hpp"

namespace megascale {
namespace {

constexpr std::size_t kAhead = 1024, kLine = 64;

template <int Streams>
std::uint64_t ReadStreams(const std::uint8_t* data, std::size_t bytes) {
  const std::size_t part = bytes / Streams;
  __m256i seen[Streams];
  for (int s = 0; s < Streams; ++s) seen[s] = _mm256_setzero_si256();
  for (std::size_t at = 0; at < part; at += kLine) {
#pragma GCC unroll 8
    for (int s = 0; s < Streams; ++s) {
      const std::uint8_t* line = data + static_cast<std::size_t>(s) * part + at;
      _mm_prefetch(reinterpret_cast<const char*>(line + kAhead), _MM_HINT_T0);
      const auto* halves = reinterpret_cast<const __m256i*>(line);
      seen[s] = _mm256_xor_si256(seen[s], _mm256_loadu_si256(halves));
      seen[s] = _mm256_xor_si256(seen[s], _mm256_loadu_si256(halves + 1));
    }
  }
  for (int s = 1; s < Streams; ++s) seen[0] = _mm256_xor_si256(seen[0], seen[s]);
  std::uint64_t parts[4];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(parts), seen[0]);
  return parts[0] ^ parts[1] ^ parts[2] ^ parts[3];
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

// VFMADD231PS: 8 lanes, a multiplication and an addition each.
constexpr int kChains = 12;

void MultiplyAdd(std::size_t rounds) {
  __m256 sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = _mm256_set1_ps(static_cast<float>(i));
  const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f);
  for (std::size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i)
      asm volatile("vfmadd213ps %2, %1, %0" : "+x"(sums[i]) : "x"(x), "x"(y));
  }
}

}  // namespace

extern const BoundLoops kAvx2Bounds = {.read = Read,
                                       .multiply_add = MultiplyAdd,
                                       .flops_per_round = kChains * 8 * 2.0,
                                       .instruction = "VFMADD231PS ymm"};

}  // namespace megascale
