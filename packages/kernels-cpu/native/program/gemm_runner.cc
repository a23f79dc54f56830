#include "program/gemm_runner.hpp"

#include <algorithm>

namespace megascale {
namespace {

// A chunk of packed rows stays in the second-level cache while the panels pass by.
constexpr std::size_t kChunkBytes = std::size_t{1} << 20;
constexpr std::size_t kChunkRowsMax = 96;
// Reading a panel costs about as much as multiplying this many rows with it.
constexpr std::size_t kPanelReadRows = 8;
// Below this many multiply-adds a fork costs more than it saves.
constexpr std::size_t kForkWork = 100000;

// Panels that belong together: a pair, where panels come in pairs.
std::size_t UnitPanels(const PackedMatrix& matrix) { return matrix.paired ? 2 : 1; }

}  // namespace

GemmRunner::GemmRunner(ThreadPool& pool, const KernelTable& kernels,
                       const std::vector<PackedMatrix>& matrices)
    : pool_(pool), kernels_(kernels) {
  std::size_t bytes = 0;
  for (const PackedMatrix& m : matrices) {
    bytes = std::max(bytes, ChunkRows(m) * Gemm(m).packed_row_bytes(m.inner, m.group));
  }
  for (int thread = 0; thread < pool.threads(); ++thread) {
    packed_rows_.emplace_back(bytes, HostMemory::Pages::kNormal, "packed rows");
    tiles_.emplace_back(kChunkRowsMax * kTileStride * sizeof(float), HostMemory::Pages::kNormal,
                        "tiles");
  }
}

// A multiple of what register blocks and tiles like, whatever the instruction set.
std::size_t GemmRunner::ChunkRows(const PackedMatrix& matrix) const {
  const GemmKernels& gemm = Gemm(matrix);
  const std::size_t step = gemm.row_multiple == 1 ? 12 : 2 * gemm.row_multiple;
  const std::size_t row_bytes = gemm.packed_row_bytes(matrix.inner, matrix.group);
  return std::clamp(kChunkBytes / row_bytes / step * step, step, kChunkRowsMax);
}

void GemmRunner::Run(const GemmSegment* segments, std::size_t count) {
  std::size_t cost = 0, work = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const GemmSegment& s = segments[i];
    const std::size_t units = s.matrix->panel_count / UnitPanels(*s.matrix);
    const std::size_t chunk = ChunkRows(*s.matrix);
    for (std::size_t row = 0; row < s.rows; row += chunk) {
      cost += units * (std::min(chunk, s.rows - row) + kPanelReadRows);
    }
    work += s.rows * s.matrix->panel_count * kPanelColumns * s.matrix->inner;
  }
  if (work < kForkWork) return RunShare(segments, count, {0, cost}, 0);
  pool_.Run([&](int thread, int threads) {
    const auto at = [&](int t) { return cost * static_cast<std::size_t>(t) / threads; };
    RunShare(segments, count, {at(thread), at(thread + 1)}, thread);
  });
}

// A unit is one panel (or pair) and one chunk of rows; it belongs to the share in which its cost
// begins.
void GemmRunner::RunShare(const GemmSegment* segments, std::size_t count, Share share, int thread) {
  std::size_t start = 0;
  for (std::size_t i = 0; i < count && start < share.end; ++i) {
    const GemmSegment& s = segments[i];
    const std::size_t units = s.matrix->panel_count / UnitPanels(*s.matrix);
    const std::size_t chunk = ChunkRows(*s.matrix);
    for (std::size_t row = 0; row < s.rows && start < share.end; row += chunk) {
      const std::size_t rows = std::min(chunk, s.rows - row);
      const std::size_t unit_cost = rows + kPanelReadRows;
      const auto first_from = [&](std::size_t cost) {
        return cost <= start ? 0 : std::min(units, (cost - start + unit_cost - 1) / unit_cost);
      };
      const std::size_t begin = first_from(share.begin), end = first_from(share.end);
      if (begin < end) RunUnits(s, row, rows, begin, end, thread);
      start += units * unit_cost;
    }
  }
}

void GemmRunner::RunUnits(const GemmSegment& segment, std::size_t row, std::size_t rows,
                          std::size_t begin, std::size_t end, int thread) {
  const PackedMatrix& matrix = *segment.matrix;
  const GemmKernels& gemm = Gemm(matrix);
  const std::size_t unit_panels = UnitPanels(matrix);
  void* packed = packed_rows_[static_cast<std::size_t>(thread)].data();
  float* tile = tiles_[static_cast<std::size_t>(thread)].as<float>();
  gemm.pack_rows({.rows = segment.in + row,
                  .count = rows,
                  .width = matrix.in_width,
                  .inner = matrix.inner,
                  .group = matrix.group,
                  .dst = packed});
  if (gemm.begin != nullptr) gemm.begin();
  for (std::size_t panel = begin * unit_panels; panel < end * unit_panels; panel += kPanelsMax) {
    const std::size_t panels = std::min(kPanelsMax, end * unit_panels - panel);
    gemm.multiply({.a = packed,
                   .panels = matrix.panels + panel * matrix.panel_bytes,
                   .panel_bytes = matrix.panel_bytes,
                   .inner = matrix.inner,
                   .group = matrix.group,
                   .rows = rows,
                   .panel_count = panels,
                   .c = tile});
    kernels_.store({.c = tile,
                    .rows = rows,
                    .panel_count = panels,
                    .out_rows = segment.out + row,
                    .column = panel / unit_panels * kPanelColumns,
                    .width = matrix.width,
                    .bias = segment.bias,
                    .epilogue = segment.epilogue});
  }
  if (gemm.end != nullptr) gemm.end();
}

}  // namespace megascale
