#pragma once

// exp and what is made of it, the same formula in every instruction set: x = n·ln 2 + r with whole
// n and |r| ≤ ln 2 / 2, then 2ⁿ · Σ rⁱ/i! up to i = 7. The series ends below 6e-9 relative, so the
// error is that of rounding, about 2 ulp. Arguments are clamped to [−87.3, 88]: the result is never
// 0, infinite or subnormal.
namespace megascale {

template <class V>
typename V::F Exponential(typename V::F x) {
  using F = typename V::F;
  constexpr float kTurns = 1.44269504f;              // 1 / ln 2
  constexpr float kLogTwoHigh = 0.693145751953125f;  // ln 2 cut to 17 bits: n · high is exact
  constexpr float kLogTwoLow = 1.42860682e-6f;
  constexpr float kRoundingShift =
      12582912.0f;  // 1.5 · 2²³: adding it leaves no bits behind the point
  const F clamped = V::Min(V::Max(x, V::Broadcast(-87.3f)), V::Broadcast(88.0f));
  const F shift = V::Broadcast(kRoundingShift);
  const F turns = V::Multiply(clamped, V::Broadcast(kTurns));
  const F n = V::Subtract(V::Add(turns, shift), shift);
  F r = V::MultiplyAdd(n, V::Broadcast(-kLogTwoHigh), clamped);
  r = V::MultiplyAdd(n, V::Broadcast(-kLogTwoLow), r);
  F sum = V::Broadcast(1.0f / 5040);
  sum = V::MultiplyAdd(sum, r, V::Broadcast(1.0f / 720));
  sum = V::MultiplyAdd(sum, r, V::Broadcast(1.0f / 120));
  sum = V::MultiplyAdd(sum, r, V::Broadcast(1.0f / 24));
  sum = V::MultiplyAdd(sum, r, V::Broadcast(1.0f / 6));
  sum = V::MultiplyAdd(sum, r, V::Broadcast(0.5f));
  sum = V::MultiplyAdd(sum, r, V::Broadcast(1.0f));
  sum = V::MultiplyAdd(sum, r, V::Broadcast(1.0f));
  return V::Multiply(sum, V::PowerOfTwo(n));
}

template <class V>
typename V::F Sigmoid(typename V::F x) {
  const typename V::F one = V::Broadcast(1.0f);
  return V::Divide(one, V::Add(one, Exponential<V>(V::Subtract(V::Zero(), x))));
}

template <class V>
typename V::F Silu(typename V::F x) {
  return V::Divide(x, V::Add(V::Broadcast(1.0f), Exponential<V>(V::Subtract(V::Zero(), x))));
}

}  // namespace megascale
