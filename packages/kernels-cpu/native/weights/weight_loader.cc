#include "weights/weight_loader.hpp"

#include <algorithm>
#include <atomic>

#include "runtime/failure.hpp"
#include "weights/pack_panel.hpp"
#include "weights/plain_elements.hpp"

namespace megascale {
namespace {

constexpr std::size_t kPanelRows = 16;
// Read at once: well below a second-level cache.
constexpr std::size_t kReadBytes = std::size_t{128} << 10;
// Packed bytes of a piece: long enough that two threads seldom meet in one page of the result.
constexpr std::size_t kPieceBytes = std::size_t{2} << 20;

}  // namespace

const CheckpointFile* WeightLoader::Open(const TensorSource& source) {
  if (source.memory != nullptr || source.bytes() == 0) return nullptr;
  std::unique_ptr<CheckpointFile>& file = files_[source.file];
  if (file == nullptr) file = std::make_unique<CheckpointFile>(source.file);
  file->Require(source.offset, source.bytes());
  return file.get();
}

void WeightLoader::Add(const MatrixSource& source, const PackedMatrix& matrix,
                       std::uint8_t* panels) {
  const std::size_t parts = source.parts.size(), stride = parts * matrix.panel_bytes;
  if (stride == 0) return;
  for (std::size_t part = 0; part < parts; ++part) {
    const TensorSource& tensor = source.parts[part];
    const std::size_t panel_read = std::max<std::size_t>(kPanelRows * tensor.row_bytes(), 1);
    Piece piece{.source = &tensor,
                .matrix = &matrix,
                .file = Open(tensor),
                .scale_file = tensor.scales == nullptr ? nullptr : Open(*tensor.scales),
                .first_panel = panels + part * matrix.panel_bytes,
                .panel_stride = stride,
                .begin = 0,
                .end = 0,
                .panels_at_once = std::max<std::size_t>(kReadBytes / panel_read, 1)};
    row_bytes_max_ = std::max(row_bytes_max_, piece.panels_at_once * panel_read);
    if (tensor.scales != nullptr) {
      scale_bytes_max_ = std::max(scale_bytes_max_,
                                  piece.panels_at_once * kPanelRows * tensor.scales->row_bytes());
    }
    const std::size_t count = matrix.panel_count / parts;
    const std::size_t step = std::max<std::size_t>(kPieceBytes / stride, 1);
    for (; piece.begin < count; piece.begin = piece.end) {
      piece.end = std::min(count, piece.begin + step);
      pieces_.push_back(piece);
    }
  }
}

void WeightLoader::Load(ThreadPool& pool) {
  std::stable_sort(pieces_.begin(), pieces_.end(), [](const Piece& a, const Piece& b) {
    const auto place = [](const Piece& p) {
      return p.source->offset + p.begin * kPanelRows * p.source->row_bytes();
    };
    const int order = a.source->file.compare(b.source->file);
    return order != 0 ? order < 0 : place(a) < place(b);
  });
  std::vector<Buffers> buffers;
  for (int thread = 0; thread < pool.threads(); ++thread) {
    buffers.push_back({HostMemory(row_bytes_max_, HostMemory::Pages::kNormal, "rows to pack"),
                       HostMemory(scale_bytes_max_, HostMemory::Pages::kNormal, "scales")});
  }
  std::atomic<std::size_t> next{0};
  std::atomic<const Piece*> failed{nullptr};
  pool.Run([&](int thread, int) {
    for (std::size_t i = next++; i < pieces_.size() && failed == nullptr; i = next++) {
      if (!Pack(pieces_[i], buffers[static_cast<std::size_t>(thread)])) failed = &pieces_[i];
    }
  });
  if (const Piece* piece = failed) {
    const CheckpointFile* file = piece->file != nullptr ? piece->file : piece->scale_file;
    throw file->Unreadable(piece->source->name + " cannot be read to its end");
  }
  pieces_.clear();
}

// `count` rows from `row` on: where they lie in memory, or copied to `buffer`; null when they
// cannot be read.
const std::uint8_t* WeightLoader::Fetch(const TensorSource& source, const CheckpointFile* file,
                                        std::size_t row, std::size_t count,
                                        const HostMemory& buffer) {
  const std::size_t begin = row * source.row_bytes();
  if (file == nullptr) return source.memory + begin;
  auto* to = buffer.as<std::uint8_t>();
  return file->Read(source.offset + begin, count * source.row_bytes(), to) ? to : nullptr;
}

bool WeightLoader::Pack(const Piece& piece, const Buffers& buffers) {
  const TensorSource& source = *piece.source;
  const TensorSource* scales = source.scales.get();
  for (std::size_t first = piece.begin; first < piece.end; first += piece.panels_at_once) {
    const std::size_t end = std::min(piece.end, first + piece.panels_at_once);
    const std::size_t row = first * kPanelRows;
    const std::size_t count = std::min(end * kPanelRows, source.rows) - row;
    const std::uint8_t* data = Fetch(source, piece.file, row, count, buffers.rows);
    const std::uint8_t* scale_data =
        scales == nullptr ? nullptr : Fetch(*scales, piece.scale_file, row, count, buffers.scales);
    if (data == nullptr || (scales != nullptr && scale_data == nullptr)) return false;
    for (std::size_t p = first; p < end; ++p) {
      const std::size_t at = (p - first) * kPanelRows;
      PackPanel({.type = source.type,
                 .data = data + at * source.row_bytes(),
                 .row_bytes = source.row_bytes(),
                 .count = std::min(kPanelRows, count - at),
                 .scale_type = scales == nullptr ? WeightType::kF32 : scales->type,
                 .scales = scales == nullptr ? nullptr : scale_data + at * scales->row_bytes()},
                *piece.matrix, piece.first_panel + p * piece.panel_stride);
    }
  }
  return true;
}

void WeightLoader::ReadVector(const TensorSource& source, float* out) {
  if (IsQuantized(source.type)) {
    throw ShapeFailure(source.name + " is quantized. Store vectors as F32, F16 or BF16.");
  }
  const CheckpointFile* file = Open(source);
  const HostMemory buffer(file == nullptr ? 0 : source.bytes(), HostMemory::Pages::kNormal,
                          "a vector");
  const std::uint8_t* data = Fetch(source, file, 0, source.rows, buffer);
  if (data == nullptr) {
    if (source.bytes() == 0) return;
    throw file->Unreadable(source.name + " cannot be read to its end");
  }
  ReadRow(source.type, data, source.rows * source.columns, out);
}

}  // namespace megascale
