#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "data.hpp"
#include "runtime/host_memory.hpp"
#include "variants.hpp"

// The attention kernels by themselves: pages written, every range attended, ranges folded; against
// softmax in double precision.
namespace megascale::testing {
namespace {

struct Problem {
  std::size_t kv_heads, group, head_size, window, positions, tokens;
  std::vector<bf16> keys, values;  // [positions, kv_heads, head_size]
  std::vector<bf16> queries;       // [tokens, kv_heads, group, head_size] of the last positions

  explicit Problem(Random& random) {
    const std::size_t head_sizes[] = {2, 6, 16, 30, 48, 64, 66, 128};
    const std::size_t lengths[] = {1, 2, 15, 16, 17, 63, 65, 255, 256, 257, 600};
    kv_heads = random.Between(1, 2);
    group = random.Between(1, 7);
    head_size = random.OneOf(head_sizes);
    positions = random.OneOf(lengths);
    window = random.Coin() ? 0 : random.Between(1, positions + 3);
    tokens = random.Between(1, std::min<std::size_t>(positions, 6));
    keys = RandomBf16(random, positions * kv_heads * head_size);
    values = RandomBf16(random, positions * kv_heads * head_size);
    queries = RandomBf16(random, tokens * kv_heads * group * head_size);
    // Sharp enough that some positions count far more than others.
    for (bf16& query : queries) query = FloatToBf16(4.0f * Bf16ToFloat(query));
  }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(head_size)); }
};

constexpr std::size_t kPageSize = 32;

// [tokens, kv_heads, group, head_size]
std::vector<bf16> Run(const Problem& p, const AttentionKernels& kernels, KvCacheDtype dtype) {
  const KvLayout layout = KvLayout::Of(dtype, p.kv_heads, p.head_size, kPageSize);
  const std::size_t page_count = (p.positions + kPageSize - 1) / kPageSize;
  // Pages are as large as the stage's; what no token wrote is not to count.
  HostMemory cache(page_count * layout.page_bytes, HostMemory::Pages::kNormal, "a test");
  std::fill_n(cache.as<std::uint8_t>(), cache.bytes(), std::uint8_t{0x7f});
  std::vector<std::int32_t> pages(page_count);
  for (std::size_t i = 0; i < page_count; ++i) {
    pages[i] = static_cast<std::int32_t>(page_count - 1 - i);
  }
  const std::size_t row = p.kv_heads * p.head_size;
  for (std::size_t position = 0; position < p.positions; ++position) {
    const auto page = static_cast<std::size_t>(pages[position / kPageSize]);
    kernels.append({.keys = p.keys.data() + position * row,
                    .values = p.values.data() + position * row,
                    .page = cache.as<std::uint8_t>() + page * layout.page_bytes,
                    .position = position,
                    .layout = &layout});
  }
  const std::size_t rows = p.tokens * p.group, width = row * p.group;
  const std::size_t partial_floats = RoundUp(rows * (layout.head_size_padded + 2), 16);
  HostMemory scratch(AttentionScratchFloats(rows, layout) * sizeof(float),
                     HostMemory::Pages::kNormal, "a test");
  HostMemory partials(2 * partial_floats * sizeof(float), HostMemory::Pages::kNormal, "a test");
  std::vector<bf16> out(p.tokens * width);
  for (std::size_t head = 0; head < p.kv_heads; ++head) {
    const std::size_t column = head * p.group * p.head_size;
    const std::size_t position = p.positions - p.tokens;
    const std::size_t seen = p.window == 0 || position < p.window ? 0 : position + 1 - p.window;
    AttentionParams params{.q = p.queries.data() + column,
                           .q_stride = width,
                           .tokens = p.tokens,
                           .group = p.group,
                           .cache = cache.as<std::uint8_t>(),
                           .pages = pages.data(),
                           .layout = &layout,
                           .kv_head = head,
                           .position = position,
                           .window = p.window,
                           .range = seen / kAttentionRange,
                           .scale = p.scale(),
                           .scratch = scratch.as<float>(),
                           .partial = partials.as<float>()};
    const PartialParams result{.partial = partials.as<float>(),
                               .next = partials.as<float>() + partial_floats,
                               .rows = rows,
                               .stride = layout.head_size_padded,
                               .out = out.data() + column,
                               .out_stride = width,
                               .group = p.group,
                               .head_size = p.head_size};
    kernels.pack_queries(params);
    kernels.attend(params);
    params.partial = result.next;
    while (++params.range * kAttentionRange < p.positions) {
      kernels.attend(params);
      kernels.fold(result);
    }
    kernels.finish(result);
  }
  return out;
}

// Of one token and head: [head_size].
std::vector<double> Expected(const Problem& p, std::size_t token, std::size_t head) {
  const std::size_t kv_head = head / p.group, position = p.positions - p.tokens + token;
  const std::size_t first = p.window == 0 || position < p.window ? 0 : position + 1 - p.window;
  const bf16* query = p.queries.data() + (token * p.kv_heads * p.group + head) * p.head_size;
  const auto at = [&](const std::vector<bf16>& list, std::size_t j, std::size_t d) -> double {
    return Bf16ToFloat(list[(j * p.kv_heads + kv_head) * p.head_size + d]);
  };
  std::vector<double> powers, sum(p.head_size, 0.0);
  double total = 0;
  for (std::size_t j = first; j <= position; ++j) {
    double score = 0;
    for (std::size_t d = 0; d < p.head_size; ++d) score += Bf16ToFloat(query[d]) * at(p.keys, j, d);
    powers.push_back(std::exp(score * p.scale()));
    total += powers.back();
  }
  for (std::size_t j = first; j <= position; ++j) {
    for (std::size_t d = 0; d < p.head_size; ++d) {
      sum[d] += powers[j - first] / total * at(p.values, j, d);
    }
  }
  return sum;
}

const Test right{"attention agrees with softmax in double precision", 40, [](Random& random) {
                   const Problem p(random);
                   std::vector<double> expected;
                   for (std::size_t row = 0; row < p.tokens * p.kv_heads * p.group; ++row) {
                     const std::size_t heads = p.kv_heads * p.group;
                     const std::vector<double> own = Expected(p, row / heads, row % heads);
                     expected.insert(expected.end(), own.begin(), own.end());
                   }
                   for (const KernelTable& kernels : Variants()) {
                     for (const KvCacheDtype dtype : {KvCacheDtype::kBf16, KvCacheDtype::kInt8}) {
                       const std::vector<bf16> found = Run(p, kernels.attention, dtype);
                       for (std::size_t i = 0; i < found.size(); ++i) {
                         // Values are below 1. Powers may be kept as bf16; 8-bit keys move a score
                         // by up to 4 %.
                         const double bound = dtype == KvCacheDtype::kBf16 ? 0.006 : 0.06;
                         RequireNear(Bf16ToFloat(found[i]), expected[i], bound,
                                     std::string(kernels.isa) +
                                         (dtype == KvCacheDtype::kBf16 ? "" : ", int8 KV") + ", " +
                                         std::to_string(p.positions) + " positions, head size " +
                                         std::to_string(p.head_size) + ", element " +
                                         std::to_string(i));
                       }
                     }
                   }
                 }};

const Test fused{"attention of variants that fuse multiply and add gives the bits of plain C++", 20,
                 [](Random& random) {
                   const Problem p(random);
                   for (const KvCacheDtype dtype : {KvCacheDtype::kBf16, KvCacheDtype::kInt8}) {
                     const std::vector<bf16> expected = Run(p, FusedReference().attention, dtype);
                     for (const KernelTable& kernels : Variants()) {
                       if (!IsFused(kernels)) continue;
                       RequireSameBits(Run(p, kernels.attention, dtype), expected, kernels.isa);
                     }
                   }
                 }};

}  // namespace
}  // namespace megascale::testing
