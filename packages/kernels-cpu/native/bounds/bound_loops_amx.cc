#include "bounds/bound_loops.hpp"
#include "kernels/gemm/tile_configuration.hpp"

// NOT YET RUN ON A MACHINE WITH AMX: these instructions are only assembled.
namespace megascale {
namespace {

// TDPBF16PS: 16 × 16 sums of 32 products each, into four tiles in turn.
constexpr double kFlopsPerTile = 16 * 16 * 32 * 2.0;

void MultiplyAdd(std::size_t rounds) {
  asm volatile(
      "ldtilecfg %0\n\ttilezero %%tmm0\n\ttilezero %%tmm1\n\ttilezero %%tmm2\n\ttilezero %%tmm3\n\t"
      "tilezero %%tmm4\n\ttilezero %%tmm5\n\ttilezero %%tmm6\n\ttilezero %%tmm7" ::"m"(
          kTileConfiguration)
      : "memory");
  for (std::size_t round = 0; round < rounds; ++round) {
    asm volatile(
        "tdpbf16ps %%tmm6, %%tmm4, %%tmm0\n\ttdpbf16ps %%tmm7, %%tmm4, %%tmm1\n\t"
        "tdpbf16ps %%tmm6, %%tmm5, %%tmm2\n\ttdpbf16ps %%tmm7, %%tmm5, %%tmm3" ::
            : "memory");
  }
  asm volatile("tilerelease" ::: "memory");
}

}  // namespace

extern const BoundLoops kAmxBounds = {.read = nullptr,
                                      .multiply_add = MultiplyAdd,
                                      .flops_per_round = 4 * kFlopsPerTile,
                                      .instruction = "TDPBF16PS"};

}  // namespace megascale
