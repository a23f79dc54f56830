#include "weights/pack_panel.hpp"

#include <cstring>

#include "weights/plain_elements.hpp"

namespace megascale {
namespace {

// 16 words of 16 rows become 16 lines at a time.
constexpr std::size_t kSide = 16;
constexpr std::size_t kWordBytes = sizeof(std::uint32_t);
struct alignas(64) Words {
  std::uint32_t at[kSide][kSide];
};

// Four words of a row; compilers of every target turn it into one register.
typedef std::uint32_t Four __attribute__((vector_size(16)));
constexpr std::size_t kFour = 4;

// What becomes of a word on its way: nothing (eight 4-bit integers lie as the panel has them), or
// integers + 128.
struct AsStored {
  static Four Apply(Four words) { return words; }
};
struct AddOffset {
  static Four Apply(Four words) { return words ^ 0x80808080u; }
};

template <class Change>
Four LoadFour(const std::uint8_t* from) {
  Four four;
  std::memcpy(&four, from, sizeof four);
  return Change::Apply(four);
}

// 16 words of 16 rows, `stride` bytes apart → 16 lines; `lines[i]` is where lines 4i … 4i + 3
// begin.
template <class Change>
void Transpose(const std::uint8_t* rows, std::size_t stride, std::uint8_t* const* lines) {
  for (std::size_t row = 0; row < kSide; row += kFour) {
    for (std::size_t i = 0; i < kSide / kFour; ++i) {
      const std::uint8_t* from = rows + row * stride + i * sizeof(Four);
      const Four a = LoadFour<Change>(from), b = LoadFour<Change>(from + stride);
      const Four c = LoadFour<Change>(from + 2 * stride), d = LoadFour<Change>(from + 3 * stride);
      const Four ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
      const Four ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
      const Four cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
      const Four cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
      const Four columns[kFour] = {__builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5),
                                   __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
                                   __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5),
                                   __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7)};
      for (std::size_t line = 0; line < kFour; ++line) {
        std::memcpy(lines[i] + line * kLineBytes + row * kWordBytes, &columns[line], sizeof(Four));
      }
    }
  }
}

// The words of each row from word `first` on, up to 16, and zeros past the rows' end.
void CopyWords(const PanelRows& rows, std::size_t first, Words& words) {
  const std::size_t begin = first * kWordBytes;
  const std::size_t left = begin < rows.row_bytes ? rows.row_bytes - begin : 0;
  const std::size_t bytes = left < sizeof words.at[0] ? left : sizeof words.at[0];
  std::memset(&words, 0, sizeof words);
  for (std::size_t row = 0; row < rows.count && bytes > 0; ++row) {
    std::memcpy(words.at[row], rows.data + row * rows.row_bytes + begin, bytes);
  }
}

// 16 pairs of each row, rounded to bf16.
template <WeightType Type>
void ConvertPairs(const PanelRows& rows, std::size_t in_width, std::size_t first, Words& words) {
  std::memset(&words, 0, sizeof words);
  const std::size_t begin = 2 * first;
  const std::size_t left = begin < in_width ? in_width - begin : 0;
  const std::size_t count = left < 2 * kSide ? left : 2 * kSide;
  for (std::size_t row = 0; row < rows.count; ++row) {
    bf16 pairs[2 * kSide] = {};
    const std::uint8_t* from = rows.data + row * rows.row_bytes;
    for (std::size_t i = 0; i < count; ++i) {
      pairs[i] = FloatToBf16(ReadElement(Type, from, begin + i));
    }
    std::memcpy(words.at[row], pairs, sizeof pairs);
  }
}

// All lines of a panel; `place(line)` is where line, a multiple of 4, and the three after it lie.
template <class Change, class Place>
void PackLines(const PanelRows& rows, std::size_t lines, const Place& place) {
  for (std::size_t first = 0; first < lines; first += kSide) {
    Words words, spare;
    std::uint8_t* to[kSide / kFour];
    for (std::size_t i = 0; i < kSide / kFour; ++i) {
      const std::size_t line = first + i * kFour;
      to[i] = line < lines ? place(line) : reinterpret_cast<std::uint8_t*>(spare.at);
    }
    const bool whole = rows.count == kSide && (first + kSide) * kWordBytes <= rows.row_bytes;
    if (whole) {
      Transpose<Change>(rows.data + first * kWordBytes, rows.row_bytes, to);
    } else {
      CopyWords(rows, first, words);
      Transpose<Change>(reinterpret_cast<const std::uint8_t*>(words.at), sizeof words.at[0], to);
    }
  }
}

template <WeightType Type>
void PackConverted(const PanelRows& rows, const PackedMatrix& m, std::uint8_t* panel) {
  Words words;
  for (std::size_t first = 0; first < m.inner / 2; first += kSide) {
    ConvertPairs<Type>(rows, m.in_width, first, words);
    std::uint8_t* const at = panel + first * kLineBytes;
    std::uint8_t* const to[] = {at, at + 4 * kLineBytes, at + 8 * kLineBytes, at + 12 * kLineBytes};
    Transpose<AsStored>(reinterpret_cast<const std::uint8_t*>(words.at), sizeof words.at[0], to);
  }
}

void PackPlain(const PanelRows& rows, const PackedMatrix& m, std::uint8_t* panel) {
  if (rows.type == WeightType::kF32) return PackConverted<WeightType::kF32>(rows, m, panel);
  if (rows.type == WeightType::kF16) return PackConverted<WeightType::kF16>(rows, m, panel);
  PackLines<AsStored>(rows, m.inner / 2,
                      [&](std::size_t line) { return panel + line * kLineBytes; });
}

template <class Layout, WeightType Type>
void PackScales(const PanelRows& rows, const PackedMatrix& m, std::uint8_t* panel) {
  const std::size_t groups = m.inner / m.group;
  for (std::size_t g = 0; g < groups; ++g) {
    std::uint8_t* at = panel + ScaleOffset<Layout>(g, m.group);
    for (std::size_t column = 0; column < rows.count; ++column) {
      const std::size_t index = column * groups + g;
      if constexpr (Layout::kGroupsPerScaleLine == 1) {
        const float scale = ReadElement(Type, rows.scales, index);
        std::memcpy(at + column * sizeof scale, &scale, sizeof scale);
      } else {
        const bf16 scale = FloatToBf16(ReadElement(Type, rows.scales, index));
        std::memcpy(at + column * sizeof scale, &scale, sizeof scale);
      }
    }
  }
}

// bf16 scales of two groups at a time, where they come in twos: a word of a row is a scale of each.
void PackScalePairs(const PanelRows& rows, const PackedMatrix& m, std::uint8_t* panel) {
  const std::size_t groups = m.inner / m.group;
  for (std::size_t g = 0; g < groups; g += 2) {
    std::uint32_t pairs[kSide] = {};
    for (std::size_t column = 0; column < rows.count; ++column) {
      std::memcpy(pairs + column, rows.scales + (column * groups + g) * sizeof(bf16), kWordBytes);
    }
    bf16 line[2][kSide];
    for (std::size_t column = 0; column < kSide; ++column) {
      line[0][column] = static_cast<bf16>(pairs[column] & 0xffffu);
      line[1][column] = static_cast<bf16>(pairs[column] >> 16);
    }
    std::memcpy(panel + ScaleOffset<Int4Layout>(g, m.group), line, sizeof line);
  }
}

template <class Layout, class Change>
void PackQuantized(const PanelRows& rows, const PackedMatrix& m, std::uint8_t* panel) {
  // Groups have a multiple of four lines.
  const std::size_t group_lines = m.group / Layout::kLineInner;
  PackLines<Change>(rows, m.inner / Layout::kLineInner, [&](std::size_t line) {
    const std::size_t group = line / group_lines, within = line % group_lines;
    return panel + GroupOffset<Layout>(group, m.group) + within * kLineBytes;
  });
  const bool bf16_pairs = Layout::kGroupsPerScaleLine == 2 &&
                          rows.scale_type == WeightType::kBf16 && m.inner / m.group % 2 == 0;
  if (bf16_pairs) return PackScalePairs(rows, m, panel);
  switch (rows.scale_type) {
    case WeightType::kF32:
      return PackScales<Layout, WeightType::kF32>(rows, m, panel);
    case WeightType::kF16:
      return PackScales<Layout, WeightType::kF16>(rows, m, panel);
    default:
      return PackScales<Layout, WeightType::kBf16>(rows, m, panel);
  }
}

}  // namespace

void PackPanel(const PanelRows& rows, const PackedMatrix& matrix, std::uint8_t* panel) {
  switch (matrix.format) {
    case WeightFormat::kBf16:
      return PackPlain(rows, matrix, panel);
    case WeightFormat::kInt8:
      return PackQuantized<Int8Layout, AddOffset>(rows, matrix, panel);
    case WeightFormat::kInt4:
      return PackQuantized<Int4Layout, AsStored>(rows, matrix, panel);
  }
}

}  // namespace megascale
