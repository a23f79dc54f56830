#pragma once

#include <cstring>

#include "kernels/dispatch/kernel_table.hpp"

namespace megascale {

// How attention multiplies pairs of bf16: each factor widened to f32, the products of a pair added
// one after the other. `Element` is what queries and powers are kept as between the steps.
template <class Vector>
struct FloatPairs {
  using V = Vector;
  using F = typename V::F;
  using Element = float;
  struct Pairs {
    F first, second;
  };

  static constexpr int kRows = V::kAttentionRows;
  static constexpr int kVectors = V::kAttentionVectors;

  // Elements 0 and 1 in all lanes.
  static Pairs Broadcast(const Element* from) {
    return {V::Broadcast(from[0]), V::Broadcast(from[1])};
  }
  // Sixteen pairs.
  static Pairs Load(const bf16* from) { return {V::LoadPairFirst(from), V::LoadPairSecond(from)}; }
  // The same where one of each pair is not there, whatever its memory says.
  static Pairs LoadFirst(const bf16* from) { return {V::LoadPairFirst(from), V::Zero()}; }
  static Pairs LoadSecond(const bf16* from) { return {V::Zero(), V::LoadPairSecond(from)}; }
  static F MultiplyAdd(const Pairs& a, const Pairs& b, const F& sum) {
    return V::MultiplyAdd(a.second, b.second, V::MultiplyAdd(a.first, b.first, sum));
  }

  static void Store(Element* to, const F& x) { V::Store(to, x); }
  static void CopyPair(const bf16* from, Element* to) {
    to[0] = Bf16ToFloat(from[0]);
    to[1] = Bf16ToFloat(from[1]);
  }
  // 8-bit integers as bf16, which holds them exactly. `count` is a multiple of 32.
  static void Widen(const std::int8_t* from, std::size_t count, bf16* to) {
    for (std::size_t i = 0; i < count; ++i) {
      const auto value = static_cast<float>(from[i]);
      std::uint32_t bits;
      std::memcpy(&bits, &value, sizeof bits);
      to[i] = static_cast<bf16>(bits >> 16);
    }
  }
};

}  // namespace megascale
