#pragma once

#include <cstring>

#include "kernels/dispatch/kernel_table.hpp"

// What is written into KV pages. An 8-bit key or value is x · 127 /
// max |x| over its position and KV head, rounded to nearest even; the scale max |x| / 127 lies
// beside it. It is rounded once, here, so no result depends on when it is read.
namespace megascale {

// Sixteen floats at a time of a vector of head_size bf16; missing lanes are 0.
template <class V>
inline typename V::F LoadHead(const bf16* from, std::size_t at, std::size_t head_size) {
  return head_size - at < 16 ? V::LoadBf16Partial(from + at, head_size - at)
                             : V::LoadBf16(from + at);
}

// Calls place(d, 8-bit integer) for every dimension and returns their scale.
template <class V, class Place>
inline float Quantize(const bf16* from, std::size_t head_size, const Place& place) {
  auto largest_lanes = V::Zero();
  for (std::size_t d = 0; d < head_size; d += 16) {
    const auto x = LoadHead<V>(from, d, head_size);
    largest_lanes = V::Max(largest_lanes, V::Max(x, V::Subtract(V::Zero(), x)));
  }
  const float largest = V::Largest(largest_lanes);
  const auto factor = V::Broadcast(largest > 0.0f ? 127.0f / largest : 0.0f);
  const auto shift = V::Broadcast(12582912.0f);  // 1.5 · 2²³: the integer is in the lowest bits
  for (std::size_t start = 0; start < head_size; start += 16) {
    float lanes[16];
    V::Store(lanes, V::Add(V::Multiply(LoadHead<V>(from, start, head_size), factor), shift));
    const std::size_t end = head_size - start < 16 ? head_size : start + 16;
    for (std::size_t d = start; d < end; ++d) {
      std::uint32_t bits;
      std::memcpy(&bits, &lanes[d - start], sizeof bits);
      place(d, static_cast<std::int8_t>(bits & 0xff));
    }
  }
  return largest / 127.0f;
}

template <class V>
void AppendKv(const KvAppendParams& p) {
  const KvLayout& layout = *p.layout;
  const std::size_t head_size = layout.head_size, lane = p.position % kKvBlock;
  const std::size_t block_in_page = p.position % layout.page_size / kKvBlock;
  const std::size_t first_value = lane / 2 * 2 * layout.head_size_padded + lane % 2;
  std::uint8_t* block = p.page + block_in_page * layout.kv_heads * layout.block_bytes;
  for (std::size_t head = 0; head < layout.kv_heads; ++head, block += layout.block_bytes) {
    const bf16 *keys = p.keys + head * head_size, *values = p.values + head * head_size;
    if (layout.dtype == KvCacheDtype::kBf16) {
      auto* to_keys = reinterpret_cast<bf16*>(block) + 2 * lane;
      auto* to_values = reinterpret_cast<bf16*>(block + layout.value_bytes) + first_value;
      for (std::size_t d = 0; d < head_size; d += 2) {
        std::memcpy(to_keys + d * kKvBlock, keys + d, 2 * sizeof(bf16));
      }
      for (std::size_t d = 0; d < head_size; ++d) to_values[2 * d] = values[d];
      continue;
    }
    auto* to_keys = reinterpret_cast<std::int8_t*>(block) + 2 * lane;
    auto* to_values = reinterpret_cast<std::int8_t*>(block + layout.value_bytes) + first_value;
    auto* scales = reinterpret_cast<float*>(block + layout.scale_bytes);
    scales[lane] = Quantize<V>(keys, head_size, [&](std::size_t d, std::int8_t x) {
      to_keys[d / 2 * 2 * kKvBlock + d % 2] = x;
    });
    scales[kKvBlock + lane] =
        Quantize<V>(values, head_size, [&](std::size_t d, std::int8_t x) { to_values[2 * d] = x; });
  }
}

}  // namespace megascale
