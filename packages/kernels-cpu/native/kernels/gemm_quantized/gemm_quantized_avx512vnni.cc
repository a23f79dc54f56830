#include "kernels/gemm_quantized/quantized_floats_avx512.hpp"

// The quantized multiplies on AVX-512 VNNI: VPDPBUSD adds four products of an unsigned and a signed
// byte to each 32-bit sum. The sums begin at the correction of the weights' offset.
namespace megascale {
namespace {

template <class L>
struct Avx512VnniDot : QuantizedFloats<L> {
  using Layout = L;
  using typename QuantizedFloats<L>::F;
  static constexpr int kRows = 6;
  static constexpr int PanelsFor(int) { return 4; }

  using Sum = __m512i;
  using Line = __m512i;
  using Weights = __m512i;
  using Activations = __m512i;

  static Line LoadLine(const std::uint8_t* at) { return _mm512_loadu_si512(at); }
  template <int Step>
  static Weights Unpack(Line line) {
    if constexpr (L::kLineInner == 4) return line;
    return _mm512_and_si512(_mm512_srli_epi32(line, 4 * Step), _mm512_set1_epi8(0xf));
  }
  static Activations Broadcast(const std::uint8_t* at) {
    std::int32_t four;
    std::memcpy(&four, at, sizeof four);
    return _mm512_set1_epi32(four);
  }
  static Sum Start(std::int32_t correction) { return _mm512_set1_epi32(correction); }
  static void Dot(Sum& sum, Weights w, Activations x) { sum = _mm512_dpbusd_epi32(sum, w, x); }
  static F Finish(Sum sum, std::int32_t) { return _mm512_cvtepi32_ps(sum); }
};

}  // namespace

extern const QuantizedKernels kAvx512VnniQuantized = MakeQuantizedKernels<Avx512VnniDot>();

}  // namespace megascale
