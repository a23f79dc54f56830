#include "weights/row_table.hpp"

#include <cstring>

#include "runtime/failure.hpp"
#include "weights/plain_elements.hpp"

namespace megascale {

RowTable::RowTable(const TensorSource& source) : source_(source) {
  if (IsQuantized(source.type)) {
    throw ShapeFailure("The embedding table " + source.name +
                       " is quantized. Store it as F32, F16 or BF16.");
  }
  if (source.memory == nullptr) {
    mapped_ = std::make_unique<MappedBytes>(source.file, source.offset, source.bytes());
    data_ = mapped_->data();
  } else {
    copied_ = HostMemory(source.bytes(), HostMemory::Pages::kNormal, "an embedding table");
    std::memcpy(copied_.data(), source.memory, source.bytes());
    data_ = copied_.as<std::uint8_t>();
    source_.memory = nullptr;
  }
}

void RowTable::Read(std::size_t index, float* out) const {
  ReadRow(source_.type, data_ + index * source_.row_bytes(), source_.columns, out);
}

}  // namespace megascale
