#include "kernels/gemm/gemm.hpp"
#include "kernels/vector/vector_avx512.hpp"

namespace megascale {
namespace {

// Products of bf16 pairs by VDPBF16PS, straight from the panels as they lie: per pair of k
//   sum = fma(a[2k], w[2k], fma(a[2k + 1], w[2k + 1], sum))
// the second of the pair first; subnormal inputs count as 0, subnormal results become 0.
struct PairProducts {
  using F = __m512;
  using Element = std::uint32_t;
  using Weights = __m512i;
  using Row = __m512i;
  static constexpr int kSteps = 1;
  static constexpr int kRows = 6, kFewRows = 12;
  static constexpr int PanelsFor(int rows) { return rows <= kRows ? 4 : 2; }

  template <int>
  static Weights LoadWeights(const bf16* pair) {
    return _mm512_loadu_si512(pair);
  }
  static Row BroadcastRow(const std::uint32_t* at) {
    return _mm512_set1_epi32(static_cast<int>(*at));
  }
  static F MultiplyAdd(Row x, Weights w, F sums) {
    return _mm512_dpbf16_ps(sums, reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(w));
  }
  static F Zero() { return _mm512_setzero_ps(); }
  static F Load(const float* from) { return _mm512_loadu_ps(from); }
  static void Store(float* to, F x) { _mm512_storeu_ps(to, x); }
  static void Prefetch(const void* at) { _mm_prefetch(static_cast<const char*>(at), _MM_HINT_T0); }
};

std::size_t PackedRowBytes(std::size_t inner, std::size_t) {
  return PackedStride(inner, sizeof(bf16));
}

}  // namespace

extern const GemmKernels kBf16PairsGemm = {.packed_row_bytes = PackedRowBytes,
                                           .row_multiple = 1,
                                           .pack_rows = CopyRows,
                                           .begin = nullptr,
                                           .end = nullptr,
                                           .multiply = Multiply<PairProducts>};

}  // namespace megascale
