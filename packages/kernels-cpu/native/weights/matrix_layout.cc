#include "weights/matrix_layout.hpp"

#include <string>

#include "runtime/failure.hpp"
#include "runtime/host_memory.hpp"

namespace megascale {
namespace {

constexpr std::size_t kGroupMultiple = 32;

WeightFormat FormatOf(WeightType type) {
  if (type == WeightType::kInt8) return WeightFormat::kInt8;
  if (type == WeightType::kInt4) return WeightFormat::kInt4;
  return WeightFormat::kBf16;
}

std::size_t GroupsOf(const TensorSource& source) {
  if (!IsQuantized(source.type)) return 1;
  const TensorSource* scales = source.scales.get();
  if (scales == nullptr || IsQuantized(scales->type) || scales->rows != source.rows) {
    throw ShapeFailure(source.name + " has no scales for its " + std::to_string(source.rows) +
                       " rows. Quantize the model again.");
  }
  const std::size_t groups = scales->columns;
  const bool whole = groups > 0 && source.columns > 0 && source.columns % groups == 0;
  if (!whole || (groups > 1 && source.columns / groups % kGroupMultiple != 0)) {
    throw ShapeFailure(source.name + " has " + std::to_string(groups) + " scales for " +
                       std::to_string(source.columns) +
                       " columns. Quantize with one scale per row, or with groups of a multiple "
                       "of 32 columns that divides them.");
  }
  return groups;
}

}  // namespace

PackedMatrix LayOut(const MatrixSource& source) {
  const TensorSource& first = source.parts.at(0);
  const std::size_t groups = GroupsOf(first);
  for (const TensorSource& part : source.parts) {
    const bool same_shape = part.rows == first.rows && part.columns == first.columns;
    if (!same_shape || FormatOf(part.type) != FormatOf(first.type) || GroupsOf(part) != groups) {
      throw ShapeFailure("The paired matrices " + first.name + " and " + part.name +
                         " differ in shape, type or scales. Store the gate and the up alike.");
    }
  }
  PackedMatrix m;
  m.format = FormatOf(first.type);
  m.width = first.rows;
  m.in_width = first.columns;
  m.panel_count = RoundUp(first.rows, 16) / 16 * source.parts.size();
  m.paired = source.parts.size() == 2;
  m.inner = groups > 1 ? first.columns
                       : RoundUp(first.columns, m.format == WeightFormat::kBf16 ? 32 : 64);
  m.group = m.inner / groups;
  switch (m.format) {
    case WeightFormat::kBf16:
      m.panel_bytes = m.inner * 16 * sizeof(bf16);
      break;
    case WeightFormat::kInt8:
      m.panel_bytes = QuantizedPanelBytes<Int8Layout>(m.inner, m.group);
      break;
    case WeightFormat::kInt4:
      m.panel_bytes = QuantizedPanelBytes<Int4Layout>(m.inner, m.group);
      break;
  }
  return m;
}

}  // namespace megascale
