#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/bfloat16.hpp"

namespace megascale {

// What an element of the KV pages is.
enum class KvCacheDtype : std::uint8_t { kBf16 = 0, kInt8 = 1 };

// Positions of one block: the lanes of a vector.
constexpr std::size_t kKvBlock = 16;

// One page is [page_size / 16 blocks][kv_heads] blocks; a block holds 16 positions of one KV head:
//   keys    [head_size / 2][16 positions][2 dimensions]
//   values  [8 pairs][head_size_padded][2 positions]
//   scales  key scales [16], value scales [16], f32; only where elements are 8-bit integers: an
//           element times the scale of its position is what it stands for
// Pairs lie together because that is what dot products of bf16 pairs (VDPBF16PS, TDPBF16PS) read.
struct KvLayout {
  KvCacheDtype dtype;
  std::size_t kv_heads, head_size;  // head_size is even
  std::size_t head_size_padded;     // to a multiple of 16
  std::size_t page_size;            // positions
  std::size_t value_bytes;          // where values start in a block, in bytes
  std::size_t scale_bytes;          // where scales start
  std::size_t block_bytes, page_bytes;

  static KvLayout Of(KvCacheDtype dtype, std::size_t kv_heads, std::size_t head_size,
                     std::size_t page_size) {
    const auto lines = [](std::size_t bytes) { return (bytes + 63) / 64 * 64; };
    const std::size_t element = dtype == KvCacheDtype::kInt8 ? 1 : sizeof(bf16);
    KvLayout layout{};
    layout.dtype = dtype;
    layout.kv_heads = kv_heads;
    layout.head_size = head_size;
    layout.head_size_padded = (head_size + 15) / 16 * 16;
    layout.page_size = page_size;
    layout.value_bytes = lines(head_size * kKvBlock * element);
    layout.scale_bytes = layout.value_bytes + lines(layout.head_size_padded * kKvBlock * element);
    const std::size_t scales = dtype == KvCacheDtype::kInt8 ? 2 * kKvBlock * sizeof(float) : 0;
    layout.block_bytes = layout.scale_bytes + scales;
    layout.page_bytes = page_size / kKvBlock * kv_heads * layout.block_bytes;
    return layout;
  }
};

}  // namespace megascale
