#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/dispatch/select.hpp"
#include "program/gemm_runner.hpp"
#include "runtime/host_memory.hpp"
#include "runtime/thread_pool.hpp"

// What the multiply of bf16 weights reaches of this machine, as ratios measured side by side:
//   kernels_cpu_bench [threads] [isa]
// For each number of rows a line with the weights read per second as a share of the memory's read
// bandwidth, and the multiply-adds per second as a share of what the same kernel does when
// everything lies in the first cache. A round measures bound, multiply and peak one after the
// other; the line has the medians of the rounds' ratios. Then the cost of one fork and join.
namespace megascale {
namespace {

constexpr std::size_t kInner = 1024, kWidth = 1024;
constexpr std::size_t kMatrices = 128;  // 256 MiB of weights
constexpr int kRounds = 15;
constexpr std::size_t kPanelBytes = kInner * kPanelColumns * sizeof(bf16);
constexpr std::size_t kMatrixBytes = kWidth / kPanelColumns * kPanelBytes;

double Now() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

class Bench {
 public:
  Bench(int threads, const std::string& isa)
      : pool_(threads),
        kernels_(SelectKernels(isa)),
        weights_(kMatrices * kMatrixBytes, HostMemory::Pages::kHuge, "weights"),
        rows_(kRowsMax * kInner * sizeof(bf16), HostMemory::Pages::kNormal, "rows"),
        out_(kRowsMax * kWidth * sizeof(bf16), HostMemory::Pages::kNormal, "results"),
        matrices_(Matrices()),
        gemm_(pool_, kernels_, matrices_) {
    std::memset(weights_.data(), 0x3c, weights_.bytes());
    std::memset(rows_.data(), 0x3c, rows_.bytes());
    for (std::size_t r = 0; r < kRowsMax; ++r) {
      in_rows_.push_back(rows_.as<bf16>() + r * kInner);
      out_rows_.push_back(out_.as<bf16>() + r * kWidth);
    }
  }

  void Print() {
    std::printf("%s, %d threads: shares of the read bandwidth and of the kernel's peak\n",
                kernels_.isa, pool_.threads());
    std::printf("%6s %10s %10s %12s %14s\n", "rows", "bandwidth", "peak", "GB/s", "GMAC/s");
    for (const std::size_t rows : {1, 2, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256, 512}) {
      std::vector<double> of_bandwidth, of_peak, speeds, rates;
      const std::size_t matrices = rows < 32 ? kMatrices : std::max<std::size_t>(4, 2048 / rows);
      for (int round = 0; round < kRounds; ++round) {
        const double bandwidth = ReadBandwidth(), peak = Peak();
        const double seconds = Multiply(rows, matrices);
        const double speed = static_cast<double>(matrices * kMatrixBytes) / seconds;
        const double rate = static_cast<double>(matrices * rows * kWidth * kInner) / seconds;
        of_bandwidth.push_back(speed / bandwidth);
        of_peak.push_back(rate / peak);
        speeds.push_back(speed);
        rates.push_back(rate);
      }
      std::printf("%6zu %10.2f %10.2f %12.1f %14.1f\n", rows, Median(of_bandwidth), Median(of_peak),
                  Median(speeds) / 1e9, Median(rates) / 1e9);
    }
    std::printf("fork and join: %.2f us\n", ForkAndJoin() * 1e6);
  }

 private:
  static constexpr std::size_t kRowsMax = 512;

  std::vector<PackedMatrix> Matrices() const {
    std::vector<PackedMatrix> matrices;
    for (std::size_t i = 0; i < kMatrices; ++i) {
      matrices.push_back({.panels = weights_.as<std::uint8_t>() + i * kMatrixBytes,
                          .format = WeightFormat::kBf16,
                          .width = kWidth,
                          .in_width = kInner,
                          .inner = kInner,
                          .panel_count = kWidth / kPanelColumns,
                          .panel_bytes = kPanelBytes,
                          .group = kInner,
                          .paired = false});
    }
    return matrices;
  }

  // Seconds for `rows` rows through each of the first `count` matrices.
  double Multiply(std::size_t rows, std::size_t count) {
    std::vector<GemmSegment> segments;
    for (std::size_t i = 0; i < count; ++i) {
      segments.push_back({.matrix = &matrices_[i],
                          .in = in_rows_.data(),
                          .out = out_rows_.data(),
                          .rows = rows,
                          .epilogue = Epilogue::kActivation,
                          .bias = nullptr});
    }
    const double start = Now();
    // Like the linears of one input: eight matrices in one fork.
    for (std::size_t i = 0; i < count; i += 8) {
      gemm_.Run(segments.data() + i, std::min<std::size_t>(8, count - i));
    }
    return Now() - start;
  }

  // Bytes per second: each thread sums up four far apart streams, fetched 1 KiB ahead.
  double ReadBandwidth() {
    const double start = Now();
    pool_.Run([&](int thread, int threads) {
      const std::size_t lines = weights_.bytes() / 64 / static_cast<std::size_t>(threads) / 4;
      const auto* at = weights_.as<std::uint64_t>() + static_cast<std::size_t>(thread) * lines * 32;
      std::uint64_t sum = 0;
      for (std::size_t i = 0; i < lines; ++i) {
        for (std::size_t stream = 0; stream < 4; ++stream) {
          const std::uint64_t* line = at + (stream * lines + i) * 8;
          __builtin_prefetch(line + 128);
          for (int word = 0; word < 8; ++word) sum += line[word];
        }
      }
      volatile std::uint64_t keep = sum;
      static_cast<void>(keep);
    });
    return static_cast<double>(weights_.bytes()) / (Now() - start);
  }

  // Multiply-adds per second of all threads, each on its own 32 rows by 32 columns by 192 k.
  double Peak() {
    constexpr std::size_t kRows = 96, kPeakInner = 192, kTimes = 400;
    const GemmKernels& gemm = kernels_.gemm[0];
    const double start = Now();
    pool_.Run([&](int thread, int) {
      const std::size_t row_bytes = gemm.packed_row_bytes(kPeakInner, kPeakInner);
      static thread_local std::vector<std::uint8_t> a, w;
      static thread_local std::vector<float> c;
      a.resize(kRows * row_bytes);
      w.resize(kPanelsMax * kPeakInner * kPanelColumns * sizeof(bf16));
      c.resize(kRows * kTileStride + static_cast<std::size_t>(thread) * 0);
      if (gemm.begin != nullptr) gemm.begin();
      for (std::size_t i = 0; i < kTimes; ++i) {
        gemm.multiply({.a = a.data(),
                       .panels = w.data(),
                       .panel_bytes = kPeakInner * kPanelColumns * sizeof(bf16),
                       .inner = kPeakInner,
                       .group = kPeakInner,
                       .rows = kRows,
                       .panel_count = kPanelsMax,
                       .c = c.data()});
      }
      if (gemm.end != nullptr) gemm.end();
    });
    const auto threads = static_cast<double>(pool_.threads());
    return threads * kTimes * kRows * kPeakInner * kPanelsMax * kPanelColumns / (Now() - start);
  }

  double ForkAndJoin() {
    constexpr int kTimes = 20000;
    const double start = Now();
    for (int i = 0; i < kTimes; ++i) pool_.Run([](int, int) {});
    return (Now() - start) / kTimes;
  }

  ThreadPool pool_;
  KernelTable kernels_;
  HostMemory weights_, rows_, out_;
  std::vector<PackedMatrix> matrices_;
  GemmRunner gemm_;
  std::vector<const bf16*> in_rows_;
  std::vector<void*> out_rows_;
};

}  // namespace
}  // namespace megascale

int main(int count, char** arguments) {
  const int threads = count > 1 ? std::atoi(arguments[1]) : 2;
  megascale::Bench(threads, count > 2 ? arguments[2] : "").Print();
}
