#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstring>

#include "runtime/bfloat16.hpp"

namespace megascale {

// Sixteen f32 lanes in four registers. Members as in vector_scalar.hpp; the same numbers as
// vector_avx2.hpp and vector_avx512.hpp, because all three multiply and add with one rounding.
struct NeonVector {
  struct F {
    float32x4_t part[4];
  };

  static constexpr const char* kIsa = "neon";
  // Of 32 registers, sums of 4 rows by one panel, or 1 row by 4, leave room for weights and rows.
  static constexpr int kRows = 4;
  static constexpr int kAttentionRows = 4, kAttentionVectors = 1;
  static constexpr int PanelsFor(int rows) { return rows == 1 ? 4 : rows == 2 ? 2 : 1; }

  template <class Op>
  static F Map(const Op& op) {
    return {{op(0), op(1), op(2), op(3)}};
  }
  static float32x4_t Widen(uint16x4_t x) { return vreinterpretq_f32_u32(vshll_n_u16(x, 16)); }
  // To nearest even; NaN stays NaN.
  static uint16x4_t Narrow(float32x4_t x) {
    const uint32x4_t bits = vreinterpretq_u32_f32(x);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
    return vshrn_n_u32(vbslq_u32(vceqq_f32(x, x), rounded, quiet), 16);
  }

  static F Broadcast(float value) {
    return Map([&](int) { return vdupq_n_f32(value); });
  }
  static F Zero() { return Broadcast(0.0f); }
  static F Load(const float* from) {
    return Map([&](int i) { return vld1q_f32(from + 4 * i); });
  }
  static F LoadPartial(const float* from, std::size_t count) {
    float lanes[16] = {};
    std::memcpy(lanes, from, count * sizeof(float));
    return Load(lanes);
  }
  static void Store(float* to, const F& x) {
    for (int i = 0; i < 4; ++i) vst1q_f32(to + 4 * i, x.part[i]);
  }
  static void StorePartial(float* to, const F& x, std::size_t count) {
    float lanes[16];
    Store(lanes, x);
    std::memcpy(to, lanes, count * sizeof(float));
  }
  static F LoadBf16(const bf16* from) {
    return Map([&](int i) { return Widen(vld1_u16(from + 4 * i)); });
  }
  static F LoadBf16Partial(const bf16* from, std::size_t count) {
    bf16 lanes[16] = {};
    std::memcpy(lanes, from, count * sizeof(bf16));
    return LoadBf16(lanes);
  }
  static void StoreBf16(bf16* to, const F& x) {
    for (int i = 0; i < 4; ++i) vst1_u16(to + 4 * i, Narrow(x.part[i]));
  }
  static void StoreBf16Partial(bf16* to, const F& x, std::size_t count) {
    bf16 lanes[16];
    StoreBf16(lanes, x);
    std::memcpy(to, lanes, count * sizeof(bf16));
  }
  static uint32x4_t LoadBits(const bf16* from) { return vreinterpretq_u32_u16(vld1q_u16(from)); }
  static F LoadPairFirst(const bf16* from) {
    return Map(
        [&](int i) { return vreinterpretq_f32_u32(vshlq_n_u32(LoadBits(from + 8 * i), 16)); });
  }
  static F LoadPairSecond(const bf16* from) {
    const uint32x4_t high = vdupq_n_u32(0xffff0000u);
    return Map(
        [&](int i) { return vreinterpretq_f32_u32(vandq_u32(LoadBits(from + 8 * i), high)); });
  }

  static F Add(const F& a, const F& b) {
    return Map([&](int i) { return vaddq_f32(a.part[i], b.part[i]); });
  }
  static F Subtract(const F& a, const F& b) {
    return Map([&](int i) { return vsubq_f32(a.part[i], b.part[i]); });
  }
  static F Multiply(const F& a, const F& b) {
    return Map([&](int i) { return vmulq_f32(a.part[i], b.part[i]); });
  }
  static F Divide(const F& a, const F& b) {
    return Map([&](int i) { return vdivq_f32(a.part[i], b.part[i]); });
  }
  // By comparison, not by FMAX: where an argument is NaN the result is b, as on x86-64.
  static F Max(const F& a, const F& b) {
    return Map(
        [&](int i) { return vbslq_f32(vcgtq_f32(a.part[i], b.part[i]), a.part[i], b.part[i]); });
  }
  static F Min(const F& a, const F& b) {
    return Map(
        [&](int i) { return vbslq_f32(vcltq_f32(a.part[i], b.part[i]), a.part[i], b.part[i]); });
  }
  static F MultiplyAdd(const F& a, const F& b, const F& c) {
    return Map([&](int i) { return vfmaq_f32(c.part[i], a.part[i], b.part[i]); });
  }
  static F PowerOfTwo(const F& n) {
    return Map([&](int i) {
      const int32x4_t exponent = vaddq_s32(vcvtq_s32_f32(n.part[i]), vdupq_n_s32(127));
      return vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23));
    });
  }
  static F Keep(const F& x, int begin, int end, float fill) {
    static constexpr std::int32_t kFirst[4] = {0, 1, 2, 3};
    return Map([&](int i) {
      const int32x4_t lanes = vaddq_s32(vld1q_s32(kFirst), vdupq_n_s32(4 * i));
      const uint32x4_t kept =
          vandq_u32(vcgeq_s32(lanes, vdupq_n_s32(begin)), vcltq_s32(lanes, vdupq_n_s32(end)));
      return vbslq_f32(kept, x.part[i], vdupq_n_f32(fill));
    });
  }
  static float Sum(const F& x) {
    const float32x4_t four =
        vaddq_f32(vaddq_f32(x.part[0], x.part[2]), vaddq_f32(x.part[1], x.part[3]));
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
  }
  static float Largest(const F& x) {
    const float32x4_t four =
        vmaxq_f32(vmaxq_f32(x.part[0], x.part[2]), vmaxq_f32(x.part[1], x.part[3]));
    return vmaxvq_f32(four);
  }
  static float SquareRoot(float x) { return vget_lane_f32(vsqrt_f32(vdup_n_f32(x)), 0); }
  static void Prefetch(const void* at) { __builtin_prefetch(at); }
};

}  // namespace megascale
