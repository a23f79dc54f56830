#include "bounds/bound_loops.hpp"
#include "bounds/multiply_add_chains.hpp"

namespace megascale {
namespace {

// VDPBF16PS: 16 lanes, two multiplications and two additions each.
constexpr int kChains = 16;

#define MEGASCALE_CHAIN(i) "vdpbf16ps %%zmm30, %%zmm31, %%zmm" #i "\n\t"

void MultiplyAdd(std::size_t rounds) {
  MEGASCALE_REPEAT_CHAINS(rounds, MEGASCALE_EACH_16, MEGASCALE_CHAIN, "z", 30, 31);
}

}  // namespace

// Reading is that of AVX-512: see BoundLoopsFor.
extern const BoundLoops kAvx512Bf16Bounds = {.read = nullptr,
                                             .multiply_add = MultiplyAdd,
                                             .flops_per_round = kChains * 16 * 4.0,
                                             .instruction = "VDPBF16PS zmm"};

}  // namespace megascale
