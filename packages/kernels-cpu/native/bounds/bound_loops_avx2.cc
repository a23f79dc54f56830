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

// All in one statement, so that every sum stays in its register.
void MultiplyAdd(std::size_t rounds) {
  const float x = 1.0f, y = 0.001f;
  asm volatile(
      "vbroadcastss %1, %%ymm14\n\t"
      "vbroadcastss %2, %%ymm15\n\t"
      "vxorps %%xmm0, %%xmm0, %%xmm0\n\t"
      "vxorps %%xmm1, %%xmm1, %%xmm1\n\t"
      "vxorps %%xmm2, %%xmm2, %%xmm2\n\t"
      "vxorps %%xmm3, %%xmm3, %%xmm3\n\t"
      "vxorps %%xmm4, %%xmm4, %%xmm4\n\t"
      "vxorps %%xmm5, %%xmm5, %%xmm5\n\t"
      "vxorps %%xmm6, %%xmm6, %%xmm6\n\t"
      "vxorps %%xmm7, %%xmm7, %%xmm7\n\t"
      "vxorps %%xmm8, %%xmm8, %%xmm8\n\t"
      "vxorps %%xmm9, %%xmm9, %%xmm9\n\t"
      "vxorps %%xmm10, %%xmm10, %%xmm10\n\t"
      "vxorps %%xmm11, %%xmm11, %%xmm11\n\t"
      "1:\n\t"
      "vfmadd231ps %%ymm14, %%ymm15, %%ymm0\n\t"
      "vfmadd231ps %%ymm14, %%ymm15, %%ymm1\n\t"
      "vfmadd231ps %%ymm14, %%ymm15, %%ymm2\n\t"
      "vfmadd231ps %%ymm14, %%ymm15, %%ymm3\n\t"
      "vfmadd231ps %%ymm14, %%ymm15, %%ymm4\n\t"
      "vfmadd231ps %%ymm14, %%ymm15, %%ymm5\n\t"
      "vfmadd231ps %%ymm14, %%ymm15, %%ymm6\n\t"
      "vfmadd231ps %%ymm14, %%ymm15, %%ymm7\n\t"
      "vfmadd231ps %%ymm14, %%ymm15, %%ymm8\n\t"
      "vfmadd231ps %%ymm14, %%ymm15, %%ymm9\n\t"
      "vfmadd231ps %%ymm14, %%ymm15, %%ymm10\n\t"
      "vfmadd231ps %%ymm14, %%ymm15, %%ymm11\n\t"
      "dec %0\n\t"
      "jnz 1b\n\t"
      : "+r"(rounds)
      : "m"(x), "m"(y)
      : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
        "xmm10", "xmm11", "xmm14", "xmm15");
}

}  // namespace

extern const BoundLoops kAvx2Bounds = {.read = Read,
                                       .multiply_add = MultiplyAdd,
                                       .flops_per_round = kChains * 8 * 2.0,
                                       .instruction = "VFMADD231PS ymm"};

}  // namespace megascale
