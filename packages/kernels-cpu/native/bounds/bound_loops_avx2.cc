#include <immintrin.h>

#include "bounds/bound_loops.hpp"
#include "bounds/multiply_add_chains.hpp"
#include "bounds/read_streams.hpp"

namespace megascale {
namespace {

struct Words {
  using Word = __m256i;
  static Word Zero() { return _mm256_setzero_si256(); }
  static Word Join(Word a, Word b) { return _mm256_xor_si256(a, b); }
  static Word Gather(Word seen, const std::uint8_t* line) {
    const auto* halves = reinterpret_cast<const __m256i*>(line);
    return Join(Join(seen, _mm256_loadu_si256(halves)), _mm256_loadu_si256(halves + 1));
  }
  static std::uint64_t Fold(Word seen) {
    std::uint64_t parts[4];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(parts), seen);
    return parts[0] ^ parts[1] ^ parts[2] ^ parts[3];
  }
};

// VFMADD231PS: 8 lanes, a multiplication and an addition each.
constexpr int kChains = 12;

#define MEGASCALE_CHAIN(i) "vfmadd231ps %%ymm14, %%ymm15, %%ymm" #i "\n\t"

void MultiplyAdd(std::size_t rounds) {
  MEGASCALE_REPEAT_CHAINS(rounds, MEGASCALE_EACH_12, MEGASCALE_CHAIN, "y", 14, 15);
}

}  // namespace

extern const BoundLoops kAvx2Bounds = {.read = Read<Words>,
                                       .multiply_add = MultiplyAdd,
                                       .flops_per_round = kChains * 8 * 2.0,
                                       .instruction = "VFMADD231PS ymm"};

}  // namespace megascale
