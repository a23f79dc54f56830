#pragma once

#include "kernels/dispatch/kernel_table.hpp"
#include "kernels/rows/exponential.hpp"

// The kernels that go over rows once: norms, rotation, sums. All are bound by memory, and compute
// in f32.
namespace megascale {

// Loads `count` ≤ 16 elements at `index` of a row that is f32 or bf16; missing lanes are 0.
template <class V>
inline typename V::F LoadLanes(const void* row, bool is_float, std::size_t index,
                               std::size_t count) {
  if (is_float) {
    const float* at = static_cast<const float*>(row) + index;
    return count == 16 ? V::Load(at) : V::LoadPartial(at, count);
  }
  const bf16* at = static_cast<const bf16*>(row) + index;
  return count == 16 ? V::LoadBf16(at) : V::LoadBf16Partial(at, count);
}

template <class V>
inline void StoreLanes(float* at, typename V::F x, std::size_t count) {
  if (count == 16) {
    V::Store(at, x);
  } else {
    V::StorePartial(at, x, count);
  }
}

template <class V>
inline void StoreLanes(bf16* at, typename V::F x, std::size_t count) {
  if (count == 16) {
    V::StoreBf16(at, x);
  } else {
    V::StoreBf16Partial(at, x, count);
  }
}

static inline constexpr std::size_t LanesLeft(std::size_t index, std::size_t width) {
  return width - index < 16 ? width - index : 16;
}

template <class V>
void RmsNorm(const RmsNormParams& n) {
  const std::size_t element = n.x_is_float ? sizeof(float) : sizeof(bf16);
  for (std::size_t vector = 0; vector < n.rows * n.groups; ++vector) {
    const void* x = static_cast<const char*>(n.x) + vector * n.width * element;
    bf16* out = n.out + vector * n.width;
    typename V::F squares = V::Zero();
    for (std::size_t i = 0; i < n.width; i += 16) {
      const auto lanes = LoadLanes<V>(x, n.x_is_float, i, LanesLeft(i, n.width));
      squares = V::MultiplyAdd(lanes, lanes, squares);
    }
    const float mean = V::Sum(squares) / static_cast<float>(n.width);
    const auto inverse = V::Broadcast(1.0f / V::SquareRoot(mean + n.epsilon));
    for (std::size_t i = 0; i < n.width; i += 16) {
      const std::size_t count = LanesLeft(i, n.width);
      const auto weight = LoadLanes<V>(n.weight, true, i, count);
      const auto lanes = LoadLanes<V>(x, n.x_is_float, i, count);
      StoreLanes<V>(out + i, V::Multiply(V::Multiply(lanes, inverse), weight), count);
    }
  }
}

template <class V>
void Rope(const RopeParams& p) {
  const std::size_t half = p.head_size / 2;
  for (std::size_t row = 0; row < p.rows; ++row) {
    const std::size_t angles = static_cast<std::size_t>(p.positions[row]) * half;
    for (std::size_t head = 0; head < p.heads; ++head) {
      const std::size_t start = (row * p.heads + head) * p.head_size;
      for (std::size_t i = 0; i < half; i += 16) {
        const std::size_t count = LanesLeft(i, half);
        const auto cosine = LoadLanes<V>(p.cosines + angles, true, i, count);
        const auto sine = LoadLanes<V>(p.sines + angles, true, i, count);
        const auto first = LoadLanes<V>(p.x + start, false, i, count);
        const auto second = LoadLanes<V>(p.x + start + half, false, i, count);
        const auto rotated_first =
            V::Subtract(V::Multiply(first, cosine), V::Multiply(second, sine));
        const auto rotated_second = V::Add(V::Multiply(second, cosine), V::Multiply(first, sine));
        StoreLanes<V>(p.out + start + i, rotated_first, count);
        StoreLanes<V>(p.out + start + half + i, rotated_second, count);
      }
    }
  }
}

template <class V>
void Add(const ElementwiseParams& e) {
  for (std::size_t i = 0; i < e.count; i += 16) {
    const std::size_t count = LanesLeft(i, e.count);
    const auto x = LoadLanes<V>(e.x, false, i, count);
    const auto sum = V::Add(LoadLanes<V>(e.into, true, i, count), x);
    StoreLanes<V>(e.into + i, sum, count);
  }
}

template <class V>
void SiluMultiply(const ElementwiseParams& e) {
  for (std::size_t i = 0; i < e.count; i += 16) {
    const std::size_t count = LanesLeft(i, e.count);
    const auto gate = LoadLanes<V>(e.x, false, i, count);
    const auto up = LoadLanes<V>(e.y, false, i, count);
    StoreLanes<V>(e.out + i, V::Multiply(Silu<V>(gate), up), count);
  }
}

// The experts' weights have driven residual and answers out of the near caches, and a row is too
// short for the hardware to see a stream: so the next row is fetched beside this one.
template <class V>
void Combine(const CombineParams& c) {
  const std::size_t answers_width = c.top_k * c.width;
  for (std::size_t row = 0; row < c.rows; ++row) {
    float* residual = c.residual + row * c.width;
    const bf16* answers = c.answers + row * answers_width;
    for (std::size_t i = 0; i < c.width; i += 16) {
      V::Prefetch(residual + c.width + i);
      for (std::size_t k = 0; k < c.top_k; ++k) {
        V::Prefetch(answers + answers_width + k * c.width + i);
      }
      const std::size_t count = LanesLeft(i, c.width);
      typename V::F sum = V::Zero();
      for (std::size_t k = 0; k < c.top_k; ++k) {
        if (c.expert_ids[row * c.top_k + k] < 0) continue;
        const auto answer = LoadLanes<V>(answers + k * c.width, false, i, count);
        sum = V::MultiplyAdd(V::Broadcast(c.weights[row * c.top_k + k]), answer, sum);
      }
      StoreLanes<V>(residual + i, V::Add(LoadLanes<V>(residual, true, i, count), sum), count);
    }
  }
}

}  // namespace megascale
