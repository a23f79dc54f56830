#pragma once

#include "kernels/attention/attention.hpp"
#include "kernels/dispatch/kernel_table.hpp"
#include "kernels/gemm/gemm.hpp"
#include "kernels/rows/router.hpp"
#include "kernels/rows/rows.hpp"
#include "kernels/rows/store.hpp"

// Included by one file per instruction set: every kernel, for the vector V and the products A of
// attention.
namespace megascale {

template <class V, class A = FloatPairs<V>>
constexpr KernelTable MakeKernelTable() {
  return {.isa = V::kIsa,
          .gemm = {MakeGemm<V>(), {}, {}},
          .store = Store<V>,
          .rms_norm = RmsNorm<V>,
          .rope = Rope<V>,
          .add = Add<V>,
          .silu_multiply = SiluMultiply<V>,
          .router = Router<V>,
          .combine = Combine<V>,
          .attention = MakeAttention<A>()};
}

}  // namespace megascale
