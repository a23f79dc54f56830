#include <immintrin.h>

#include "bounds/bound_loops.hpp"
#include "bounds/multiply_add_chains.hpp"
#include "bounds/read_streams.hpp"

namespace megascale {
namespace {

struct Words {
  using Word = __m512i;
  static Word Zero() { return _mm512_setzero_si512(); }
  static Word Join(Word a, Word b) { return _mm512_xor_si512(a, b); }
  static Word Gather(Word seen, const std::uint8_t* line) {
    return Join(seen, _mm512_loadu_si512(line));
  }
  static std::uint64_t Fold(Word seen) {
    std::uint64_t words[8];
    _mm512_storeu_si512(words, seen);
    for (int i = 1; i < 8; ++i) words[0] ^= words[i];
    return words[0];
  }
};

// VFMADD231PS: 16 lanes, a multiplication and an addition each.
constexpr int kChains = 16;

#define MEGASCALE_CHAIN(i) "vfmadd231ps %%zmm30, %%zmm31, %%zmm" #i "\n\t"

void MultiplyAdd(std::size_t rounds) {
  MEGASCALE_REPEAT_CHAINS(rounds, MEGASCALE_EACH_16, MEGASCALE_CHAIN, "z", 30, 31);
}

}  // namespace

extern const BoundLoops kAvx512Bounds = {.read = Read<Words>,
                                         .multiply_add = MultiplyAdd,
                                         .flops_per_round = kChains * 16 * 2.0,
                                         .instruction = "VFMADD231PS zmm"};

}  // namespace megascale
