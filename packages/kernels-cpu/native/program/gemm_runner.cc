#include "program/gemm_runner.hpp"

#include <algorithm>
#include <thread>

#include "runtime/cpu_features.hpp"

namespace megascale {
namespace {

constexpr std::size_t kChunkRowsMax = 256;
// Weights of one unit, where rows are few: some microseconds of reading.
constexpr std::size_t kUnitBytes = std::size_t{128} << 10;
// Units per thread that even out what one thread is slower than another.
constexpr std::size_t kUnitsPerThread = 4;
// Below this many bytes of weights, or multiply-adds by 16, a fork costs more than it saves.
constexpr std::size_t kForkWork = std::size_t{96} << 10;
constexpr int kPausesPerYield = 4096;

// Panels that belong together: a pair, where panels come in pairs.
std::size_t PanelStep(const PackedMatrix& matrix) { return matrix.paired ? 2 : 1; }

std::size_t CeilDivide(std::size_t value, std::size_t by) { return (value + by - 1) / by; }

}  // namespace

// One thread's way through the units.
class GemmRunner::Worker {
 public:
  Worker(GemmRunner& runner, int thread)
      : runner_(runner),
        packed_(runner.packed_rows_[static_cast<std::size_t>(thread)].data()),
        tile_(runner.tiles_[static_cast<std::size_t>(thread)].as<float>()) {}

  // Takes units until there are none. The next one is taken before the current one is run, so that
  // its weights can be fetched ahead.
  void Run() {
    Unit unit{};
    bool found = Take(unit);
    while (found) {
      Unit next{};
      const bool more = Take(next);
      AwaitRows(unit);
      RunUnit(unit, more ? &next : nullptr);
      runner_.cuts_[unit.segment].units_left.fetch_sub(1, std::memory_order_release);
      unit = next;
      found = more;
    }
    Use(nullptr);
  }

 private:
  bool Take(Unit& unit) {
    const std::size_t taken = runner_.next_unit_.fetch_add(1, std::memory_order_relaxed);
    if (taken >= runner_.unit_count_) return false;
    unit = runner_.UnitAt(taken, segment_);
    segment_ = unit.segment;
    return true;
  }

  // Units are taken in order and the one waited for comes first, so some thread is running it.
  void AwaitRows(const Unit& unit) {
    const std::size_t after = runner_.segments_[unit.segment].after;
    if (after == GemmSegment::kNone) return;
    const std::atomic<std::size_t>& left = runner_.cuts_[after].units_left;
    for (int pauses = 0; left.load(std::memory_order_acquire) != 0;) {
      Pause();
      if (++pauses % kPausesPerYield == 0) std::this_thread::yield();
    }
  }

  // Ends the use of one format's kernels and begins that of another's.
  void Use(const GemmKernels* gemm) {
    if (gemm == gemm_) return;
    if (gemm_ != nullptr && gemm_->end != nullptr) gemm_->end();
    if (gemm != nullptr && gemm->begin != nullptr) gemm->begin();
    gemm_ = gemm;
  }

  // Units of one input come one after the other; its rows are packed once.
  void Pack(const GemmSegment& segment, const Unit& unit) {
    const PackedMatrix& m = *segment.matrix;
    const bf16* const* in = segment.in + unit.row;
    if (packed_in_ == in && packed_count_ == unit.rows && packed_for_->format == m.format &&
        packed_for_->in_width == m.in_width && packed_for_->group == m.group) {
      return;
    }
    gemm_->pack_rows({.rows = in,
                      .count = unit.rows,
                      .width = m.in_width,
                      .inner = m.inner,
                      .group = m.group,
                      .dst = packed_});
    packed_in_ = in;
    packed_count_ = unit.rows;
    packed_for_ = &m;
  }

  void RunUnit(const Unit& unit, const Unit* next) {
    const GemmSegment& segment = runner_.segments_[unit.segment];
    const PackedMatrix& m = *segment.matrix;
    Use(&runner_.Gemm(m));
    Pack(segment, unit);
    const PackedMatrix* next_matrix =
        next == nullptr ? nullptr : runner_.segments_[next->segment].matrix;
    const std::size_t end = unit.panel + unit.panels;
    for (std::size_t panel = unit.panel; panel < end; panel += kPanelsMax) {
      const std::size_t panels = std::min(kPanelsMax, end - panel);
      const std::uint8_t* weights = m.panels + panel * m.panel_bytes;
      MultiplyParams multiply{.a = packed_,
                              .panels = weights,
                              .panel_bytes = m.panel_bytes,
                              .inner = m.inner,
                              .group = m.group,
                              .rows = unit.rows,
                              .panel_count = panels,
                              .c = tile_};
      if (panel + panels < end) {
        multiply.next_panels = weights + panels * m.panel_bytes;
        multiply.next_panel_bytes = m.panel_bytes;
      } else if (next_matrix != nullptr) {
        multiply.next_panels = next_matrix->panels + next->panel * next_matrix->panel_bytes;
        multiply.next_panel_bytes = next_matrix->panel_bytes;
      }
      gemm_->multiply(multiply);
      runner_.kernels_.store({.c = tile_,
                              .rows = unit.rows,
                              .panel_count = panels,
                              .out_rows = segment.out + unit.row,
                              .column = panel / PanelStep(m) * kPanelColumns,
                              .width = m.width,
                              .bias = segment.bias,
                              .epilogue = segment.epilogue});
    }
  }

  GemmRunner& runner_;
  void* packed_;
  float* tile_;
  std::size_t segment_ = 0;  // of the unit taken last
  const GemmKernels* gemm_ = nullptr;
  const bf16* const* packed_in_ = nullptr;
  std::size_t packed_count_ = 0;
  const PackedMatrix* packed_for_ = nullptr;
};

GemmRunner::GemmRunner(ThreadPool& pool, const KernelTable& kernels,
                       const std::vector<PackedMatrix>& matrices)
    // Half of the second-level cache for rows, the rest for weights and results.
    : pool_(pool),
      kernels_(kernels),
      chunk_bytes_(SecondLevelCacheBytes() / 2),
      cuts_(matrices.size()) {
  for (const PackedMatrix& m : matrices) packed_bytes_ = std::max(packed_bytes_, PackedBytes(m));
  for (int thread = 0; thread < pool.threads(); ++thread) {
    packed_rows_.emplace_back(packed_bytes_, HostMemory::Pages::kNormal, "packed rows");
    tiles_.emplace_back(kChunkRowsMax * kTileStride * sizeof(float), HostMemory::Pages::kNormal,
                        "tiles");
  }
}

std::size_t GemmRunner::PackedBytes(const PackedMatrix& matrix) const {
  return ChunkRowsMax(matrix) * Gemm(matrix).packed_row_bytes(matrix.inner, matrix.group);
}

void GemmRunner::Fit(const PackedMatrix& matrix) {
  const std::size_t bytes = PackedBytes(matrix);
  if (bytes <= packed_bytes_) return;
  for (HostMemory& rows : packed_rows_) {
    rows = HostMemory(bytes, HostMemory::Pages::kNormal, "packed rows");
  }
  packed_bytes_ = bytes;
}

// A multiple of what register blocks and tiles like, whatever the instruction set.
std::size_t GemmRunner::ChunkRowsMax(const PackedMatrix& matrix) const {
  const std::size_t step = Gemm(matrix).row_multiple == 1 ? 12 : 32;
  const std::size_t row_bytes = Gemm(matrix).packed_row_bytes(matrix.inner, matrix.group);
  const std::size_t most = kChunkRowsMax / step * step;
  return std::clamp(chunk_bytes_ / row_bytes / step * step, step, most);
}

// Equal chunks, as few as the cache allows.
std::size_t GemmRunner::ChunkRows(const GemmSegment& segment) const {
  const std::size_t most = ChunkRowsMax(*segment.matrix);
  const std::size_t step = Gemm(*segment.matrix).row_multiple == 1 ? 12 : 32;
  const std::size_t chunks = std::max<std::size_t>(1, CeilDivide(segment.rows, most));
  const std::size_t even = std::max<std::size_t>(1, CeilDivide(segment.rows, chunks));
  return std::min(most, RoundUp(even, step));
}

bool GemmRunner::CutSegments() {
  if (cuts_.size() < segment_count_) cuts_ = std::vector<Cut>(segment_count_);
  std::size_t work = 0, panels = 0;
  for (std::size_t i = 0; i < segment_count_; ++i) {
    const GemmSegment& s = segments_[i];
    const std::size_t chunk_rows = ChunkRows(s);
    cuts_[i].chunk_rows = chunk_rows;
    panels += s.matrix->panel_count * CeilDivide(s.rows, chunk_rows);
    const std::size_t multiply_adds =
        s.rows * s.matrix->panel_count * kPanelColumns * s.matrix->inner;
    work += std::max(s.matrix->panel_count * s.matrix->panel_bytes, multiply_adds / 16);
  }
  // Where there are few panels for many threads, groups shrink.
  const std::size_t share = panels / (kUnitsPerThread * static_cast<std::size_t>(pool_.threads()));
  unit_count_ = 0;
  for (std::size_t i = 0; i < segment_count_; ++i) {
    const PackedMatrix& m = *segments_[i].matrix;
    Cut& cut = cuts_[i];
    const std::size_t by_bytes = std::max(kPanelsMax, kUnitBytes / m.panel_bytes / 4 * 4);
    const std::size_t step = PanelStep(m);
    cut.group_panels = std::max(step, std::min(by_bytes, share / step * step));
    if (cut.group_panels > kPanelsMax)
      cut.group_panels = cut.group_panels / kPanelsMax * kPanelsMax;
    cut.groups = CeilDivide(m.panel_count, cut.group_panels);
    const std::size_t units = cut.groups * CeilDivide(segments_[i].rows, cut.chunk_rows);
    cut.first_unit = unit_count_;
    cut.units_left.store(units, std::memory_order_relaxed);
    unit_count_ += units;
  }
  next_unit_.store(0, std::memory_order_relaxed);
  return unit_count_ > 1 && work >= kForkWork;
}

// Groups of panels of one chunk of rows come one after the other. `segment` is where to look from.
GemmRunner::Unit GemmRunner::UnitAt(std::size_t unit, std::size_t segment) const {
  while (segment + 1 < segment_count_ && cuts_[segment + 1].first_unit <= unit) ++segment;
  const Cut& cut = cuts_[segment];
  const GemmSegment& s = segments_[segment];
  const std::size_t index = unit - cut.first_unit;
  const std::size_t row = index / cut.groups * cut.chunk_rows;
  const std::size_t panel = index % cut.groups * cut.group_panels;
  return {.segment = segment,
          .row = row,
          .rows = std::min(cut.chunk_rows, s.rows - row),
          .panel = panel,
          .panels = std::min(cut.group_panels, s.matrix->panel_count - panel)};
}

void GemmRunner::Run(const GemmSegment* segments, std::size_t count) {
  segments_ = segments;
  segment_count_ = count;
  if (!CutSegments()) return Worker(*this, 0).Run();
  pool_.Run([&](int thread, int) { Worker(*this, thread).Run(); });
}

}  // namespace megascale
