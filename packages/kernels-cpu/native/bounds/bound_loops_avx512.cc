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

// All in one statement, so that every sum stays in its register.
void MultiplyAdd(std::size_t rounds) {
  const float x = 1.0f, y = 0.001f;
  asm volatile(
      "vbroadcastss %1, %%zmm30\n\t"
      "vbroadcastss %2, %%zmm31\n\t"
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
      "vxorps %%xmm12, %%xmm12, %%xmm12\n\t"
      "vxorps %%xmm13, %%xmm13, %%xmm13\n\t"
      "vxorps %%xmm14, %%xmm14, %%xmm14\n\t"
      "vxorps %%xmm15, %%xmm15, %%xmm15\n\t"
      "1:\n\t"
      "vfmadd231ps %%zmm30, %%zmm31, %%zmm0\n\t"
      "vfmadd231ps %%zmm30, %%zmm31, %%zmm1\n\t"
      "vfmadd231ps %%zmm30, %%zmm31, %%zmm2\n\t"
      "vfmadd231ps %%zmm30, %%zmm31, %%zmm3\n\t"
      "vfmadd231ps %%zmm30, %%zmm31, %%zmm4\n\t"
      "vfmadd231ps %%zmm30, %%zmm31, %%zmm5\n\t"
      "vfmadd231ps %%zmm30, %%zmm31, %%zmm6\n\t"
      "vfmadd231ps %%zmm30, %%zmm31, %%zmm7\n\t"
      "vfmadd231ps %%zmm30, %%zmm31, %%zmm8\n\t"
      "vfmadd231ps %%zmm30, %%zmm31, %%zmm9\n\t"
      "vfmadd231ps %%zmm30, %%zmm31, %%zmm10\n\t"
      "vfmadd231ps %%zmm30, %%zmm31, %%zmm11\n\t"
      "vfmadd231ps %%zmm30, %%zmm31, %%zmm12\n\t"
      "vfmadd231ps %%zmm30, %%zmm31, %%zmm13\n\t"
      "vfmadd231ps %%zmm30, %%zmm31, %%zmm14\n\t"
      "vfmadd231ps %%zmm30, %%zmm31, %%zmm15\n\t"
      "dec %0\n\t"
      "jnz 1b\n\t"
      : "+r"(rounds)
      : "m"(x), "m"(y)
      : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
        "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm30", "xmm31");
}

}  // namespace

extern const BoundLoops kAvx512Bounds = {.read = Read,
                                         .multiply_add = MultiplyAdd,
                                         .flops_per_round = kChains * 16 * 2.0,
                                         .instruction = "VFMADD231PS zmm"};

}  // namespace megascale
