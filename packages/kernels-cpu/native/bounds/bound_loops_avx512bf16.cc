#include "bounds/bound_loops.hpp"

namespace megascale {
namespace {

// VDPBF16PS: 16 lanes, two multiplications and two additions each.
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
      "vdpbf16ps %%zmm30, %%zmm31, %%zmm0\n\t"
      "vdpbf16ps %%zmm30, %%zmm31, %%zmm1\n\t"
      "vdpbf16ps %%zmm30, %%zmm31, %%zmm2\n\t"
      "vdpbf16ps %%zmm30, %%zmm31, %%zmm3\n\t"
      "vdpbf16ps %%zmm30, %%zmm31, %%zmm4\n\t"
      "vdpbf16ps %%zmm30, %%zmm31, %%zmm5\n\t"
      "vdpbf16ps %%zmm30, %%zmm31, %%zmm6\n\t"
      "vdpbf16ps %%zmm30, %%zmm31, %%zmm7\n\t"
      "vdpbf16ps %%zmm30, %%zmm31, %%zmm8\n\t"
      "vdpbf16ps %%zmm30, %%zmm31, %%zmm9\n\t"
      "vdpbf16ps %%zmm30, %%zmm31, %%zmm10\n\t"
      "vdpbf16ps %%zmm30, %%zmm31, %%zmm11\n\t"
      "vdpbf16ps %%zmm30, %%zmm31, %%zmm12\n\t"
      "vdpbf16ps %%zmm30, %%zmm31, %%zmm13\n\t"
      "vdpbf16ps %%zmm30, %%zmm31, %%zmm14\n\t"
      "vdpbf16ps %%zmm30, %%zmm31, %%zmm15\n\t"
      "dec %0\n\t"
      "jnz 1b\n\t"
      : "+r"(rounds)
      : "m"(x), "m"(y)
      : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
        "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm30", "xmm31");
}

}  // namespace

// Reading is that of AVX-512: see BoundLoopsFor.
extern const BoundLoops kAvx512Bf16Bounds = {.read = nullptr,
                                             .multiply_add = MultiplyAdd,
                                             .flops_per_round = kChains * 16 * 4.0,
                                             .instruction = "VDPBF16PS zmm"};

}  // namespace megascale
