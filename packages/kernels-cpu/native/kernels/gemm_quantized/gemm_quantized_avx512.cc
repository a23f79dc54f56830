#include "kernels/gemm_quantized/quantized_floats_avx512.hpp"

// The quantized multiplies on AVX-512 without VNNI: see gemm_quantized_avx2.cc.
namespace megascale {
namespace {

template <class L>
struct Avx512Dot : QuantizedFloats<L> {
  using Layout = L;
  using typename QuantizedFloats<L>::F;
  static constexpr bool kInt8 = L::kLineInner == 4;
  static constexpr int kRows = kInt8 ? 2 : 4;
  static constexpr int PanelsFor(int) { return 4; }
  // Registers for [16 columns][4 k]: as 16-bit numbers, or as bytes.
  static constexpr int kParts = kInt8 ? 2 : 1;

  struct Sum {
    __m512i part[kParts];
  };
  struct Weights {
    __m512i part[kParts];
  };
  using Line = __m512i;
  using Activations = __m512i;

  static Line LoadLine(const std::uint8_t* at) { return _mm512_loadu_si512(at); }
  template <int Step>
  static Weights Unpack(Line line) {
    if constexpr (kInt8) {
      return {_mm512_cvtepu8_epi16(_mm512_castsi512_si256(line)),
              _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(line, 1))};
    } else {
      return {_mm512_and_si512(_mm512_srli_epi32(line, 4 * Step), _mm512_set1_epi8(0xf))};
    }
  }
  static Activations Broadcast(const std::uint8_t* at) {
    std::int32_t four;
    std::memcpy(&four, at, sizeof four);
    if constexpr (kInt8) return _mm512_cvtepi8_epi16(_mm256_set1_epi32(four));
    return _mm512_set1_epi32(four);
  }
  static Sum Start(std::int32_t) {
    Sum sum;
    for (__m512i& part : sum.part) part = _mm512_setzero_si512();
    return sum;
  }
  static void Dot(Sum& sum, const Weights& w, const Activations& x) {
    for (int i = 0; i < kParts; ++i) {
      const __m512i products =
          kInt8 ? _mm512_madd_epi16(w.part[i], x)
                : _mm512_madd_epi16(_mm512_maddubs_epi16(w.part[i], x), _mm512_set1_epi16(1));
      sum.part[i] = _mm512_add_epi32(sum.part[i], products);
    }
  }
  // Eight columns in pairs of sums → eight columns.
  static __m256i AddPairs(__m512i pairs) {
    return _mm512_cvtepi64_epi32(_mm512_add_epi32(pairs, _mm512_srli_epi64(pairs, 32)));
  }
  static F Finish(const Sum& sum, std::int32_t correction) {
    __m512i columns = sum.part[0];
    if constexpr (kInt8) {
      columns = _mm512_inserti64x4(_mm512_castsi256_si512(AddPairs(sum.part[0])),
                                   AddPairs(sum.part[1]), 1);
    }
    return _mm512_cvtepi32_ps(_mm512_add_epi32(columns, _mm512_set1_epi32(correction)));
  }
};

}  // namespace

extern const QuantizedKernels kAvx512Quantized = MakeQuantizedKernels<Avx512Dot>();

}  // namespace megascale
