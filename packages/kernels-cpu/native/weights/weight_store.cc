#include "weights/weight_store.hpp"

#include <cstring>

#include "runtime/failure.hpp"

namespace megascale {
namespace {

template <WeightType Type>
float ReadElement(const std::uint8_t* row, std::size_t index) {
  if constexpr (Type == WeightType::kF32) {
    float value;
    std::memcpy(&value, row + index * sizeof value, sizeof value);
    return value;
  } else {
    std::uint16_t bits;
    std::memcpy(&bits, row + index * sizeof bits, sizeof bits);
    return Type == WeightType::kBf16 ? Bf16ToFloat(bits) : HalfToFloat(bits);
  }
}

template <WeightType Type>
bf16 ReadAsBf16(const std::uint8_t* row, std::size_t index) {
  if constexpr (Type == WeightType::kBf16) {
    bf16 bits;
    std::memcpy(&bits, row + index * sizeof bits, sizeof bits);
    return bits;
  } else {
    return FloatToBf16(ReadElement<Type>(row, index));
  }
}

// Fills the panel of up to 16 checkpoint rows from `row` on. `panel` is zero before.
template <WeightType Type>
void PackPanel(const std::uint8_t* data, std::size_t row, const PackedMatrix& m, bf16* panel) {
  constexpr std::size_t kElementBytes = Type == WeightType::kF32 ? 4 : 2;
  const std::size_t rows = m.width - row < 16 ? m.width - row : 16;
  const std::size_t row_bytes = m.in_width * kElementBytes;
  const std::uint8_t* first = data + row * row_bytes;
  for (std::size_t k = 0; k < m.in_width; ++k) {
    bf16* pair = panel + k / 2 * 32 + k % 2;
    for (std::size_t column = 0; column < rows; ++column) {
      pair[column * 2] = ReadAsBf16<Type>(first + column * row_bytes, k);
    }
  }
}

// bf16 straight from the file: both k of a pair move in one word.
template <>
void PackPanel<WeightType::kBf16>(const std::uint8_t* data, std::size_t row, const PackedMatrix& m,
                                  bf16* panel) {
  const std::size_t rows = m.width - row < 16 ? m.width - row : 16;
  const std::size_t row_bytes = m.in_width * sizeof(bf16);
  const std::uint8_t* first = data + row * row_bytes;
  const std::size_t pairs = m.in_width / 2;
  for (std::size_t pair = 0; pair < pairs; ++pair) {
    for (std::size_t column = 0; column < rows; ++column) {
      std::memcpy(panel + pair * 32 + column * 2, first + column * row_bytes + pair * 4, 4);
    }
  }
  if (m.in_width % 2 == 0) return;
  for (std::size_t column = 0; column < rows; ++column) {
    std::memcpy(panel + pairs * 32 + column * 2, first + column * row_bytes + pairs * 4, 2);
  }
}

void PackPanelOf(WeightType type, const std::uint8_t* data, std::size_t row, const PackedMatrix& m,
                 bf16* panel) {
  switch (type) {
    case WeightType::kF32:
      return PackPanel<WeightType::kF32>(data, row, m, panel);
    case WeightType::kBf16:
      return PackPanel<WeightType::kBf16>(data, row, m, panel);
    case WeightType::kF16:
      return PackPanel<WeightType::kF16>(data, row, m, panel);
  }
}

void ReadRow(WeightType type, const std::uint8_t* row, std::size_t columns, float* out) {
  for (std::size_t i = 0; i < columns; ++i) {
    out[i] = type == WeightType::kF32    ? ReadElement<WeightType::kF32>(row, i)
             : type == WeightType::kBf16 ? ReadElement<WeightType::kBf16>(row, i)
                                         : ReadElement<WeightType::kF16>(row, i);
  }
}

// The bytes of a source for as long as this lives.
class SourceBytes {
 public:
  explicit SourceBytes(const TensorSource& source) : data_(source.memory) {
    if (data_ != nullptr || source.bytes() == 0) return;
    mapped_ = std::make_unique<MappedBytes>(source.file, source.offset, source.bytes());
    data_ = mapped_->data();
  }
  const std::uint8_t* data() const { return data_; }

 private:
  std::unique_ptr<MappedBytes> mapped_;
  const std::uint8_t* data_;
};

PackedMatrix Describe(const MatrixSource& source) {
  const TensorSource& first = source.parts.at(0);
  for (const TensorSource& part : source.parts) {
    if (part.rows != first.rows || part.columns != first.columns) {
      throw ShapeFailure("Paired matrices differ in shape. Give the gate and the up one shape.");
    }
  }
  PackedMatrix m;
  m.width = first.rows;
  m.in_width = first.columns;
  m.inner = RoundUp(first.columns, 32);
  m.panel_count = RoundUp(first.rows, 16) / 16 * source.parts.size();
  m.panel_bytes = m.inner * 16 * sizeof(bf16);
  m.group = m.inner;
  m.paired = source.parts.size() == 2;
  return m;
}

}  // namespace

RowTable::RowTable(const TensorSource& source) : source_(source) {
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
  const std::size_t row_bytes = source_.bytes() / source_.rows;
  ReadRow(source_.type, data_ + index * row_bytes, source_.columns, out);
}

WeightStore::WeightStore(const std::vector<MatrixSource>& matrices,
                         const std::vector<TensorSource>& vectors, ThreadPool& pool) {
  std::size_t bytes = 0;
  std::vector<std::size_t> matrix_offsets, vector_offsets;
  for (const MatrixSource& source : matrices) {
    matrices_.push_back(Describe(source));
    matrix_offsets.push_back(bytes);
    bytes += matrices_.back().panel_count * matrices_.back().panel_bytes;
  }
  for (const TensorSource& source : vectors) {
    vector_offsets.push_back(bytes);
    bytes += RoundUp(source.rows * source.columns * sizeof(float), 64);
  }
  memory_ = HostMemory(bytes, HostMemory::Pages::kHuge, "weights");

  for (std::size_t i = 0; i < matrices.size(); ++i) {
    PackedMatrix& m = matrices_[i];
    std::uint8_t* const panels = memory_.as<std::uint8_t>() + matrix_offsets[i];
    m.panels = panels;
    const std::size_t parts = matrices[i].parts.size();
    for (std::size_t part = 0; part < parts; ++part) {
      const TensorSource& source = matrices[i].parts[part];
      const SourceBytes mapped(source);
      pool.For(m.panel_count / parts, m.in_width * 4, [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t p = begin; p < end; ++p) {
          PackPanelOf(source.type, mapped.data(), p * 16, m,
                      reinterpret_cast<bf16*>(panels + (p * parts + part) * m.panel_bytes));
        }
      });
    }
  }
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    float* out = reinterpret_cast<float*>(memory_.as<char>() + vector_offsets[i]);
    const SourceBytes mapped(vectors[i]);
    ReadRow(vectors[i].type, mapped.data(), vectors[i].rows * vectors[i].columns, out);
    vectors_.push_back(out);
  }
}

}  // namespace megascale
