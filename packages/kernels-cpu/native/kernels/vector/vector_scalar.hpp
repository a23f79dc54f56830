#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "runtime/bfloat16.hpp"

namespace megascale {

// Sixteen f32 lanes in plain C++. The vectors of the other instruction sets have the same members;
// the kernels are templates over them. Every sum over lanes folds halves (i with i + 8, then + 4, +
// 2, + 1), here as there.
struct ScalarVector {
  struct F {
    float lane[16];
  };

  static constexpr const char* kIsa = "scalar";
  // What a register block of the multiply and of attention holds: rows, and panels beside them.
  static constexpr int kRows = 2;
  static constexpr int kAttentionRows = 1, kAttentionVectors = 1;
  static constexpr int PanelsFor(int) { return 1; }

  template <class Op>
  static F Map(const Op& op) {
    F result;
    for (int i = 0; i < 16; ++i) result.lane[i] = op(i);
    return result;
  }

  static F Broadcast(float value) {
    return Map([&](int) { return value; });
  }
  static F Zero() { return Broadcast(0.0f); }
  static F Load(const float* from) {
    F result;
    std::memcpy(result.lane, from, sizeof result.lane);
    return result;
  }
  static F LoadPartial(const float* from, std::size_t count) {
    F result = Zero();
    std::memcpy(result.lane, from, count * sizeof(float));
    return result;
  }
  static void Store(float* to, const F& x) { std::memcpy(to, x.lane, sizeof x.lane); }
  static void StorePartial(float* to, const F& x, std::size_t count) {
    std::memcpy(to, x.lane, count * sizeof(float));
  }
  static F LoadBf16(const bf16* from) {
    return Map([&](int i) { return Bf16ToFloat(from[i]); });
  }
  static F LoadBf16Partial(const bf16* from, std::size_t count) {
    F result = Zero();
    for (std::size_t i = 0; i < count; ++i) result.lane[i] = Bf16ToFloat(from[i]);
    return result;
  }
  static void StoreBf16(bf16* to, const F& x) {
    for (int i = 0; i < 16; ++i) to[i] = FloatToBf16(x.lane[i]);
  }
  static void StoreBf16Partial(bf16* to, const F& x, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) to[i] = FloatToBf16(x.lane[i]);
  }
  // From 16 pairs of bf16: the first of each pair, the second of each pair.
  static F LoadPairFirst(const bf16* from) {
    return Map([&](int i) { return Bf16ToFloat(from[2 * i]); });
  }
  static F LoadPairSecond(const bf16* from) {
    return Map([&](int i) { return Bf16ToFloat(from[2 * i + 1]); });
  }

  static F Add(const F& a, const F& b) {
    return Map([&](int i) { return a.lane[i] + b.lane[i]; });
  }
  static F Subtract(const F& a, const F& b) {
    return Map([&](int i) { return a.lane[i] - b.lane[i]; });
  }
  static F Multiply(const F& a, const F& b) {
    return Map([&](int i) { return a.lane[i] * b.lane[i]; });
  }
  static F Divide(const F& a, const F& b) {
    return Map([&](int i) { return a.lane[i] / b.lane[i]; });
  }
  static F Max(const F& a, const F& b) {
    return Map([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  static F Min(const F& a, const F& b) {
    return Map([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  // a · b + c; rounds twice here, once where the instruction set has it.
  static F MultiplyAdd(const F& a, const F& b, const F& c) {
    return Map([&](int i) { return a.lane[i] * b.lane[i] + c.lane[i]; });
  }
  // 2ⁿ for whole n in [−126, 127].
  static F PowerOfTwo(const F& n) {
    return Map([&](int i) {
      const auto bits = static_cast<std::uint32_t>(static_cast<std::int32_t>(n.lane[i]) + 127)
                        << 23;
      float value;
      std::memcpy(&value, &bits, sizeof value);
      return value;
    });
  }
  // Lanes outside [begin, end) become `fill`.
  static F Keep(const F& x, int begin, int end, float fill) {
    return Map([&](int i) { return i >= begin && i < end ? x.lane[i] : fill; });
  }
  static float Sum(const F& x) {
    float lane[16];
    std::memcpy(lane, x.lane, sizeof lane);
    for (int half = 8; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
    }
    return lane[0];
  }
  static float Largest(const F& x) {
    float best = x.lane[0];
    for (int i = 1; i < 16; ++i) best = x.lane[i] > best ? x.lane[i] : best;
    return best;
  }
  static float SquareRoot(float x) { return std::sqrt(x); }
  static void Prefetch(const void*) {}
};

}  // namespace megascale
