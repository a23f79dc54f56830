#include <immintrin.h>

#include "kernels/gemm_quantized/gemm_quantized.hpp"

// The quantized multiplies on AVX2. VPMADDUBSW adds two products in 16 bits: enough for 4-bit
// weights (2 · 15 · 127), but 8-bit ones would saturate, so these are widened for VPMADDWD.
namespace megascale {
namespace {

template <class L>
struct Avx2Dot {
  using Layout = L;
  static constexpr bool kInt8 = L::kLineInner == 4;
  static constexpr int kRows = 2;
  static constexpr int PanelsFor(int rows) { return kInt8 || rows > 1 ? 1 : 2; }
  // Registers for [16 columns][4 k]: as 16-bit numbers, or as bytes.
  static constexpr int kParts = kInt8 ? 4 : 2;

  struct F {
    __m256 low, high;
  };
  struct Sum {
    __m256i part[kParts];
  };
  struct Weights {
    __m256i part[kParts];
  };
  using Line = const std::uint8_t*;
  using Activations = __m256i;

  static Line LoadLine(const std::uint8_t* at) { return at; }
  template <int Step>
  static Weights Unpack(Line line) {
    Weights weights;
    for (int i = 0; i < kParts; ++i) {
      if constexpr (kInt8) {
        const auto* quarter = reinterpret_cast<const __m128i*>(line) + i;
        weights.part[i] = _mm256_cvtepu8_epi16(_mm_loadu_si128(quarter));
      } else {
        const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(line) + i);
        weights.part[i] =
            _mm256_and_si256(_mm256_srli_epi32(bytes, 4 * Step), _mm256_set1_epi8(0xf));
      }
    }
    return weights;
  }
  static Activations Broadcast(const std::uint8_t* at) {
    std::int32_t four;
    std::memcpy(&four, at, sizeof four);
    if constexpr (kInt8) return _mm256_cvtepi8_epi16(_mm_set1_epi32(four));
    return _mm256_set1_epi32(four);
  }
  static Sum Start(std::int32_t) {
    Sum sum;
    for (__m256i& part : sum.part) part = _mm256_setzero_si256();
    return sum;
  }
  static void Dot(Sum& sum, const Weights& w, const Activations& x) {
    for (int i = 0; i < kParts; ++i) {
      const __m256i products =
          kInt8 ? _mm256_madd_epi16(w.part[i], x)
                : _mm256_madd_epi16(_mm256_maddubs_epi16(w.part[i], x), _mm256_set1_epi16(1));
      sum.part[i] = _mm256_add_epi32(sum.part[i], products);
    }
  }
  // Columns 4i … 4i + 3 in pairs of sums, and the next four → eight columns.
  static __m256i AddPairs(__m256i first, __m256i second) {
    return _mm256_permute4x64_epi64(_mm256_hadd_epi32(first, second), 0xd8);
  }
  static F Finish(const Sum& sum, std::int32_t correction) {
    const __m256i c = _mm256_set1_epi32(correction);
    if constexpr (kInt8) {
      const __m256i low = AddPairs(sum.part[0], sum.part[1]);
      const __m256i high = AddPairs(sum.part[2], sum.part[3]);
      return {_mm256_cvtepi32_ps(_mm256_add_epi32(low, c)),
              _mm256_cvtepi32_ps(_mm256_add_epi32(high, c))};
    } else {
      return {_mm256_cvtepi32_ps(_mm256_add_epi32(sum.part[0], c)),
              _mm256_cvtepi32_ps(_mm256_add_epi32(sum.part[1], c))};
    }
  }
  static F Zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static F LoadFloats(const float* at) { return {_mm256_loadu_ps(at), _mm256_loadu_ps(at + 8)}; }
  static void StoreFloats(float* at, const F& f) {
    _mm256_storeu_ps(at, f.low);
    _mm256_storeu_ps(at + 8, f.high);
  }
  static __m256 Widen(__m128i halves) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
  }
  static F LoadScales(const std::uint8_t* at) {
    if constexpr (kInt8) return LoadFloats(reinterpret_cast<const float*>(at));
    const auto* halves = reinterpret_cast<const __m128i*>(at);
    return {Widen(_mm_loadu_si128(halves)), Widen(_mm_loadu_si128(halves + 1))};
  }
  static F AddScaled(const F& sums, const F& products, float row_scale, const F& scales) {
    const __m256 x = _mm256_set1_ps(row_scale);
    const __m256 low = _mm256_mul_ps(_mm256_mul_ps(products.low, x), scales.low);
    const __m256 high = _mm256_mul_ps(_mm256_mul_ps(products.high, x), scales.high);
    return {_mm256_add_ps(sums.low, low), _mm256_add_ps(sums.high, high)};
  }
  // In assembly: GCC takes calls of a function that only fetches ahead for calls without effect.
  static void Prefetch(const void* at) {
    asm volatile("prefetcht0 %0" ::"m"(*static_cast<const char*>(at)));
  }
};

}  // namespace

extern const QuantizedKernels kAvx2Quantized = MakeQuantizedKernels<Avx2Dot>();

}  // namespace megascale
