#include "kernels/gemm_quantized/gemm_quantized.hpp"

// The quantized multiplies in plain C++.
namespace megascale {
namespace {

template <class L>
struct ScalarDot {
  using Layout = L;
  static constexpr int kRows = 2;
  static constexpr int PanelsFor(int) { return 1; }

  struct F {
    float lane[16];
  };
  struct Sum {
    std::int32_t lane[16];
  };
  struct Weights {
    std::uint8_t byte[64];
  };
  using Line = Weights;
  struct Activations {
    std::int8_t value[4];
  };

  static Line LoadLine(const std::uint8_t* at) {
    Line line;
    std::memcpy(line.byte, at, sizeof line.byte);
    return line;
  }
  template <int Step>
  static Weights Unpack(const Line& line) {
    if constexpr (L::kLineInner == 4) return line;
    Weights weights;
    for (int i = 0; i < 64; ++i) {
      weights.byte[i] = static_cast<std::uint8_t>((line.byte[i] >> (4 * Step)) & 0xf);
    }
    return weights;
  }
  static Activations Broadcast(const std::uint8_t* at) {
    Activations x;
    std::memcpy(x.value, at, sizeof x.value);
    return x;
  }
  static Sum Start(std::int32_t correction) {
    Sum sum;
    for (std::int32_t& lane : sum.lane) lane = correction;
    return sum;
  }
  static void Dot(Sum& sum, const Weights& w, const Activations& x) {
    for (int i = 0; i < 16; ++i) {
      for (int k = 0; k < 4; ++k) sum.lane[i] += w.byte[4 * i + k] * x.value[k];
    }
  }
  static F Finish(const Sum& sum, std::int32_t) {
    F products;
    for (int i = 0; i < 16; ++i) products.lane[i] = static_cast<float>(sum.lane[i]);
    return products;
  }
  static F Zero() { return {}; }
  static F LoadFloats(const void* at) {
    F f;
    std::memcpy(f.lane, at, sizeof f.lane);
    return f;
  }
  static void StoreFloats(float* at, const F& f) { std::memcpy(at, f.lane, sizeof f.lane); }
  static F LoadScales(const std::uint8_t* at) {
    if constexpr (L::kGroupsPerScaleLine == 1) return LoadFloats(at);
    bf16 bits[16];
    std::memcpy(bits, at, sizeof bits);
    F scales;
    for (int i = 0; i < 16; ++i) scales.lane[i] = Bf16ToFloat(bits[i]);
    return scales;
  }
  static F AddScaled(const F& sums, const F& products, float row_scale, const F& scales) {
    F result;
    for (int i = 0; i < 16; ++i) {
      result.lane[i] = sums.lane[i] + products.lane[i] * row_scale * scales.lane[i];
    }
    return result;
  }
  static void Prefetch(const void*) {}
};

}  // namespace

extern const QuantizedKernels kScalarQuantized = MakeQuantizedKernels<ScalarDot>();

}  // namespace megascale
