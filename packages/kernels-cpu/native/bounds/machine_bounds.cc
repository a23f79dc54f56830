#include "bounds/machine_bounds.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>

#include "runtime/host_memory.hpp"

namespace megascale {
namespace {

constexpr int kPasses = 3, kPieces = 5;
constexpr double kPieceSeconds = 0.02;

template <class Action>
double SecondsOf(const Action& action) {
  const auto start = std::chrono::steady_clock::now();
  action();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// The share of thread `thread`, in whole lines of every number of streams.
struct Part {
  std::size_t begin, bytes;
};
Part PartOf(std::size_t bytes, int thread, int threads) {
  constexpr std::size_t kUnit = 64 * 8;
  const std::size_t share = bytes / static_cast<std::size_t>(threads) / kUnit * kUnit;
  return {share * static_cast<std::size_t>(thread), share};
}

// Writes every page, each on the thread that will read it.
void Touch(ThreadPool& pool, const HostMemory& memory) {
  pool.Run([&](int thread, int threads) {
    const Part part = PartOf(memory.bytes(), thread, threads);
    std::memset(memory.as<char>() + part.begin, 1 + thread % 100, part.bytes);
  });
}

// Runs `piece(rounds)` with as many rounds as take about kPieceSeconds; returns rounds per second
// of the median piece.
template <class Piece>
double RoundsPerSecond(const Piece& piece) {
  std::size_t rounds = 1;
  while (SecondsOf([&] { piece(rounds); }) < kPieceSeconds) rounds *= 2;
  std::vector<double> rates;
  for (int i = 0; i < kPieces; ++i) {
    rates.push_back(static_cast<double>(rounds) / SecondsOf([&] { piece(rounds); }));
  }
  return Median(rates);
}

// One thread's product: [kRows, kInner] · [kInner, kColumns].
class ResidentProduct {
 public:
  explicit ResidentProduct(const GemmKernels& gemm)
      : gemm_(gemm),
        panel_bytes_(kInner * kPanelColumns * sizeof(bf16)),
        rows_(kRows * kInner * sizeof(bf16), HostMemory::Pages::kNormal, "a product's rows"),
        packed_(kRows * gemm.packed_row_bytes(kInner, kInner), HostMemory::Pages::kHuge,
                "a product's packed rows"),
        panels_(kColumns / kPanelColumns * panel_bytes_, HostMemory::Pages::kHuge,
                "a product's weights"),
        result_(kRows * kTileStride * sizeof(float), HostMemory::Pages::kNormal, "a product") {
    Fill(rows_);
    Fill(panels_);
    const bf16* rows[kRows];
    for (std::size_t r = 0; r < kRows; ++r) rows[r] = rows_.as<bf16>() + r * kInner;
    gemm.pack_rows({.rows = rows,
                    .count = kRows,
                    .width = kInner,
                    .inner = kInner,
                    .group = kInner,
                    .dst = packed_.data()});
  }

  static constexpr double kFlops = 2.0 * 128 * 128 * 1024;

  void Run(std::size_t rounds) const {
    if (gemm_.begin != nullptr) gemm_.begin();
    for (std::size_t round = 0; round < rounds; ++round) {
      for (std::size_t panel = 0; panel < kColumns / kPanelColumns; panel += kPanelsMax) {
        gemm_.multiply({.a = packed_.data(),
                        .panels = panels_.as<std::uint8_t>() + panel * panel_bytes_,
                        .panel_bytes = panel_bytes_,
                        .inner = kInner,
                        .group = kInner,
                        .rows = kRows,
                        .panel_count = kPanelsMax,
                        .c = result_.as<float>()});
      }
    }
    if (gemm_.end != nullptr) gemm_.end();
  }

 private:
  static constexpr std::size_t kRows = 128, kColumns = 128, kInner = 1024;

  // Ordinary numbers: 1.0 and a little more.
  static void Fill(const HostMemory& memory) {
    bf16* values = memory.as<bf16>();
    for (std::size_t i = 0; i < memory.bytes() / sizeof(bf16); ++i) {
      values[i] = static_cast<bf16>(0x3f80 + i % 7);
    }
  }

  const GemmKernels& gemm_;
  std::size_t panel_bytes_;
  HostMemory rows_, packed_, panels_, result_;
};

}  // namespace

std::vector<ReadRate> MeasureRead(ThreadPool& pool, const BoundLoops& loops, std::size_t bytes) {
  // The prefetch at the very end reaches past the last line; the memory has room for it.
  const HostMemory memory(bytes + 4096, HostMemory::Pages::kHuge, "measuring the read bandwidth");
  Touch(pool, memory);
  const double read = static_cast<double>(PartOf(bytes, 0, pool.threads()).bytes) * pool.threads();
  std::atomic<std::uint64_t> seen{0};
  std::vector<std::vector<double>> rates(std::size(kReadStreams));
  for (int pass = 0; pass < kPasses; ++pass) {
    for (std::size_t i = 0; i < rates.size(); ++i) {
      const double seconds = SecondsOf([&] {
        pool.Run([&](int thread, int threads) {
          const Part part = PartOf(bytes, thread, threads);
          seen += loops.read(memory.as<std::uint8_t>() + part.begin, part.bytes, kReadStreams[i]);
        });
      });
      rates[i].push_back(read / seconds);
    }
  }
  std::vector<ReadRate> result;
  for (std::size_t i = 0; i < rates.size(); ++i) {
    result.push_back({kReadStreams[i], Median(rates[i])});
  }
  return result;
}

double MeasureGemm(ThreadPool& pool, const GemmKernels& gemm) {
  std::vector<std::unique_ptr<ResidentProduct>> products(static_cast<std::size_t>(pool.threads()));
  pool.Run([&](int thread, int) {
    products[static_cast<std::size_t>(thread)] = std::make_unique<ResidentProduct>(gemm);
  });
  const double rate = RoundsPerSecond([&](std::size_t rounds) {
    pool.Run([&](int thread, int) { products[static_cast<std::size_t>(thread)]->Run(rounds); });
  });
  return rate * ResidentProduct::kFlops * pool.threads();
}

double MeasureInstruction(ThreadPool& pool, const BoundLoops& loops) {
  const double rate = RoundsPerSecond(
      [&](std::size_t rounds) { pool.Run([&](int, int) { loops.multiply_add(rounds); }); });
  return rate * loops.flops_per_round * pool.threads();
}

ForkJoinTimes MeasureForkJoin(ThreadPool& pool) {
  const auto fork = [&] { pool.Run([](int, int) {}); };
  std::vector<double> spinning, parked;
  for (int i = 0; i < 2000; ++i) spinning.push_back(SecondsOf(fork) * 1e6);
  for (int i = 0; i < 50; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    parked.push_back(SecondsOf(fork) * 1e6);
  }
  return {Median(spinning), Median(parked)};
}

CopyTimes MeasureCopy(ThreadPool& pool, std::size_t bytes) {
  const HostMemory from(bytes, HostMemory::Pages::kHuge, "measuring copies");
  Touch(pool, from);
  const HostMemory to(bytes, HostMemory::Pages::kHuge, "measuring copies");
  const auto copy = [&] {
    pool.Run([&](int thread, int threads) {
      const Part part = PartOf(bytes, thread, threads);
      std::memcpy(to.as<char>() + part.begin, from.as<char>() + part.begin, part.bytes);
    });
  };
  const double fresh = SecondsOf(copy) * 1e6;
  std::vector<double> touched;
  for (int i = 0; i < kPasses; ++i) touched.push_back(SecondsOf(copy) * 1e6);
  return {fresh, Median(touched)};
}

}  // namespace megascale
