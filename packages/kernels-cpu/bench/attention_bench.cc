// Attention alone, on this machine: how much of the read bandwidth decode reaches, and how much of
// the multiply peak a prompt reaches. Every figure is the median of rounds in which it and its
// bound take turns, because the clock and the neighbours of a machine change from second to second.
//
//   g++ -O3 -std=c++20 -march=native -ffp-contract=off -Inative bench/attention_bench.cc \
//       native/program/{attention_plan,attention_runner,micro_batch}.cc native/runtime/*.cc \
//       -o /tmp/attention -pthread && /tmp/attention [threads]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>

#include "kernels/attention/attention.hpp"
#include "program/attention_runner.hpp"
#if defined(__AVX512BF16__)
#include "kernels/attention/attention_arithmetic_avx512bf16.hpp"
#elif defined(__AVX512F__)
#include "kernels/vector/vector_avx512.hpp"
#else
#include "kernels/vector/vector_avx2.hpp"
#endif

namespace megascale {
namespace {

#if defined(__AVX512BF16__)
using Products = Bf16Pairs;
#elif defined(__AVX512F__)
using Products = FloatPairs<Avx512Vector>;
#else
using Products = FloatPairs<Avx2Vector>;
#endif
using V = Products::V;
constexpr AttentionKernels kKernels = MakeAttention<Products>();
constexpr std::size_t kPageSize = 16;

template <class Work>
double Seconds(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Bytes per second of reading all of `memory`, every thread its part in four streams.
double ReadRate(ThreadPool& pool, const HostMemory& memory) {
  std::vector<float> sums(static_cast<std::size_t>(pool.threads()) * 64);
  const double seconds = Seconds([&] {
    pool.Run([&](int thread, int threads) {
      const std::size_t part = memory.bytes() / 4 / static_cast<std::size_t>(threads) / 256 * 256;
      const float* from = memory.as<float>() + part * static_cast<std::size_t>(thread);
      V::F sum[4] = {V::Zero(), V::Zero(), V::Zero(), V::Zero()};
      for (std::size_t i = 0; i < part / 4; i += 16) {
        for (std::size_t stream = 0; stream < 4; ++stream) {
          const float* at = from + stream * (part / 4) + i;
          V::Prefetch(at + 512);
          sum[stream] = V::Max(sum[stream], V::Load(at));
        }
      }
      for (int s = 0; s < 4; ++s)
        V::Store(&sums[static_cast<std::size_t>(thread) * 64 + s * 16], sum[s]);
    });
  });
  if (std::accumulate(sums.begin(), sums.end(), 0.0f) == 0.5f) std::puts("");
  return static_cast<double>(memory.bytes()) / seconds;
}

// FLOP per second of the variant's product in registers.
double MultiplyRate(ThreadPool& pool) {
  constexpr int kTurns = 200000, kChains = 12;
  std::vector<float> sums(static_cast<std::size_t>(pool.threads()) * 16);
  const double seconds = Seconds([&] {
    pool.Run([&](int thread, int) {
      alignas(64) bf16 ones[32] = {};
      const auto pair = Products::Load(ones);
      V::F chain[kChains];
      for (auto& c : chain) c = V::Zero();
      for (int turn = 0; turn < kTurns; ++turn) {
#pragma GCC unroll 12
        for (auto& c : chain) c = Products::MultiplyAdd(pair, pair, c);
      }
      for (int c = 1; c < kChains; ++c) chain[0] = V::Add(chain[0], chain[c]);
      V::Store(&sums[static_cast<std::size_t>(thread) * 16], chain[0]);
    });
  });
  if (std::accumulate(sums.begin(), sums.end(), 0.0f) == 0.5f) std::puts("");
  return 64.0 * kTurns * kChains * pool.threads() / seconds;
}

// A batch of sequences at one context, over several layers' pages in random order.
struct Case {
  KvLayout layout;
  std::size_t group, sequences, tokens, context;  // tokens: per sequence, the last of the context
};

class Attention {
 public:
  Attention(ThreadPool& pool, const Case& c) : case_(c), runner_(pool, kKernels) {
    const std::size_t pages = (c.context + kPageSize - 1) / kPageSize * c.sequences;
    layer_bytes_ = pages * c.layout.page_bytes;
    // Enough layers that none is still in a cache when its turn comes again.
    layers_ = std::max<std::size_t>(1, (std::size_t{256} << 20) / layer_bytes_);
    cache_ = HostMemory(layer_bytes_ * layers_, HostMemory::Pages::kHuge, "KV pages");
    std::vector<std::int32_t> table(pages), ids(c.sequences * c.tokens), positions, offsets{0};
    std::vector<std::int32_t> page_offsets{0};
    std::iota(table.begin(), table.end(), 0);
    std::shuffle(table.begin(), table.end(), std::mt19937(1));
    for (std::size_t s = 1; s <= c.sequences; ++s) {
      for (std::size_t t = c.context - c.tokens; t < c.context; ++t)
        positions.push_back(static_cast<std::int32_t>(t));
      offsets.push_back(static_cast<std::int32_t>(s * c.tokens));
      page_offsets.push_back(static_cast<std::int32_t>(s * pages / c.sequences));
    }
    const auto view = [](const std::vector<std::int32_t>& from) {
      return Int32View{from.data(), from.size()};
    };
    batch_.Assign({view(ids), view(positions), view(offsets), view(table), view(page_offsets), {}},
                  {ids.size(), c.context, 1, pages, kPageSize});
    q_.resize(ids.size() * c.layout.kv_heads * c.group * c.layout.head_size, 0x3c00);
    out_.resize(q_.size());
    runner_.Reserve(c.layout, c.group, ids.size());
    Fill(pages);
  }

  const HostMemory& cache() const { return cache_; }
  double bytes() const { return static_cast<double>(layer_bytes_ * layers_); }
  double flop() const {
    double positions = 0;
    for (const std::int32_t position : batch_.positions) positions += position + 1;
    return 4.0 * positions *
           static_cast<double>(case_.layout.kv_heads * case_.group * case_.layout.head_size *
                               layers_);
  }
  double Run() {
    return Seconds([&] {
      for (std::size_t layer = 0; layer < layers_; ++layer) {
        runner_.Run(batch_, {.q = q_.data(),
                             .out = out_.data(),
                             .cache = cache_.as<std::uint8_t>() + layer * layer_bytes_,
                             .layout = &case_.layout,
                             .group = case_.group,
                             .window = 0,
                             .scale = 0.125f});
      }
    });
  }

 private:
  void Fill(std::size_t pages) {
    std::mt19937 random(2);
    std::vector<bf16> row(case_.layout.kv_heads * case_.layout.head_size);
    for (std::size_t page = 0; page < pages * layers_; ++page) {
      for (bf16& x : row) x = static_cast<bf16>(0x3c00 + (random() & 0x80ff));
      for (std::size_t position = 0; position < kPageSize; ++position) {
        kKernels.append({.keys = row.data(),
                         .values = row.data(),
                         .page = cache_.as<std::uint8_t>() + page * case_.layout.page_bytes,
                         .position = position,
                         .layout = &case_.layout});
      }
    }
  }

  Case case_;
  AttentionRunner runner_;
  HostMemory cache_;
  MicroBatch batch_;
  std::vector<bf16> q_, out_;
  std::size_t layer_bytes_ = 0, layers_ = 0;
};

void Report(ThreadPool& pool, const Case& c) {
  Attention attention(pool, c);
  const bool decode = c.tokens == 1;
  std::vector<double> rates, ratios;
  for (int round = 0; round < 21; ++round) {
    const double bound = decode ? ReadRate(pool, attention.cache()) : MultiplyRate(pool);
    const double rate = (decode ? attention.bytes() : attention.flop()) / attention.Run();
    if (round == 0) continue;
    rates.push_back(rate);
    ratios.push_back(rate / bound);
  }
  std::printf("%-7s %-4s  %3zu x %5zu of %5zu  heads %zu x %zu of %-3zu  %7.1f %s  %.2f of %s\n",
              decode ? "decode" : "prefill", c.layout.dtype == KvCacheDtype::kInt8 ? "int8" : "bf16",
              c.sequences, c.tokens, c.context, c.layout.kv_heads, c.group, c.layout.head_size,
              Median(rates) / 1e9, decode ? "GB/s  " : "GFLOP/s", Median(ratios),
              decode ? "reading" : "multiplying");
}

}  // namespace
}  // namespace megascale

int main(int argc, char** argv) {
  using namespace megascale;
  ThreadPool pool(argc > 1 ? std::atoi(argv[1]) : 2);
  for (const KvCacheDtype dtype : {KvCacheDtype::kBf16, KvCacheDtype::kInt8}) {
    const auto standard = KvLayout::Of(dtype, 4, 64, kPageSize);
    const auto large = KvLayout::Of(dtype, 8, 128, kPageSize);
    const auto full = KvLayout::Of(dtype, 16, 64, kPageSize);
    Report(pool, {standard, 4, 16, 1, 2048});
    Report(pool, {standard, 4, 1, 1, 8192});
    Report(pool, {standard, 4, 64, 1, 128});
    Report(pool, {large, 4, 8, 1, 2048});
    Report(pool, {full, 1, 8, 1, 1024});
    Report(pool, {standard, 4, 1, 512, 512});
    Report(pool, {standard, 4, 1, 256, 4096});
    Report(pool, {large, 4, 1, 512, 512});
    Report(pool, {full, 1, 1, 512, 512});
  }
}
