#include "weights/pack_panel.hpp"

#include <cstring>

#include "weights/plain_elements.hpp"

namespace megascale {
namespace {

constexpr std::size_t kSide = 16;
// [row][word] before the transpose, [word][row] after it: then each line is one of a panel.
struct alignas(64) Words {
  std::uint32_t at[kSide][kSide];
};

// Four words; compilers of every target turn it into one register.
typedef std::uint32_t Four __attribute__((vector_size(16)));

Four LoadFour(const std::uint32_t* from) {
  Four four;
  std::memcpy(&four, from, sizeof four);
  return four;
}

void Transpose(const Words& in, Words& out) {
  for (std::size_t row = 0; row < kSide; row += 4) {
    for (std::size_t word = 0; word < kSide; word += 4) {
      const Four a = LoadFour(&in.at[row][word]), b = LoadFour(&in.at[row + 1][word]);
      const Four c = LoadFour(&in.at[row + 2][word]), d = LoadFour(&in.at[row + 3][word]);
      const Four ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
      const Four ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
      const Four cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
      const Four cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
      const Four lines[4] = {__builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5),
                             __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
                             __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5),
                             __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7)};
      for (std::size_t i = 0; i < 4; ++i) {
        std::memcpy(&out.at[word + i][row], &lines[i], sizeof lines[i]);
      }
    }
  }
}

// 16 words of each row as they lie in the checkpoint, from word `first` on; zeros past the end.
void CopyWords(const PanelRows& rows, std::size_t first, Words& words) {
  const std::size_t begin = first * sizeof(std::uint32_t);
  const std::size_t left = begin < rows.row_bytes ? rows.row_bytes - begin : 0;
  if (left >= sizeof words.at[0] && rows.count == kSide) {
    for (std::size_t row = 0; row < kSide; ++row) {
      std::memcpy(words.at[row], rows.data + row * rows.row_bytes + begin, sizeof words.at[0]);
    }
    return;
  }
  std::memset(&words, 0, sizeof words);
  const std::size_t bytes = left < sizeof words.at[0] ? left : sizeof words.at[0];
  for (std::size_t row = 0; row < rows.count && bytes > 0; ++row) {
    std::memcpy(words.at[row], rows.data + row * rows.row_bytes + begin, bytes);
  }
}

// 16 pairs of each row, rounded to bf16.
void ConvertPairs(const PanelRows& rows, std::size_t in_width, std::size_t first, Words& words) {
  std::memset(&words, 0, sizeof words);
  for (std::size_t row = 0; row < rows.count; ++row) {
    bf16 pairs[2 * kSide] = {};
    for (std::size_t i = 0; i < 2 * kSide && 2 * first + i < in_width; ++i) {
      const std::uint8_t* from = rows.data + row * rows.row_bytes;
      pairs[i] = FloatToBf16(ReadElement(rows.type, from, 2 * first + i));
    }
    std::memcpy(words.at[row], pairs, sizeof pairs);
  }
}

// The integers + 128.
void AddOffset(Words& words) {
  for (auto& row : words.at) {
    for (std::uint32_t& word : row) word ^= 0x80808080u;
  }
}

// Eight 4-bit numbers in a word, lowest first → the first four in the low halves of the bytes, the
// others in the high halves.
void SpreadNibbles(Words& words) {
  const auto spread = [](std::uint32_t four) {
    const std::uint32_t pairs = (four | four << 8) & 0x00ff00ffu;
    return (pairs | pairs << 4) & 0x0f0f0f0fu;
  };
  for (auto& row : words.at) {
    for (std::uint32_t& word : row) word = spread(word & 0xffffu) | spread(word >> 16) << 4;
  }
}

void PackPlain(const PanelRows& rows, const PackedMatrix& m, std::uint8_t* panel) {
  Words words, lines;
  for (std::size_t line = 0; line < m.inner / 2; line += kSide) {
    if (rows.type == WeightType::kBf16) {
      CopyWords(rows, line, words);
    } else {
      ConvertPairs(rows, m.in_width, line, words);
    }
    Transpose(words, lines);
    std::memcpy(panel + line * kLineBytes, lines.at, sizeof lines.at);
  }
}

template <class Layout>
void PackScales(const PanelRows& rows, const PackedMatrix& m, std::uint8_t* panel) {
  const std::size_t groups = m.inner / m.group;
  for (std::size_t g = 0; g < groups; ++g) {
    std::uint8_t* at = panel + ScaleOffset<Layout>(g, m.group);
    for (std::size_t column = 0; column < rows.count; ++column) {
      const float scale = ReadElement(rows.scale_type, rows.scales, column * groups + g);
      if constexpr (Layout::kGroupsPerScaleLine == 1) {
        std::memcpy(at + column * sizeof scale, &scale, sizeof scale);
      } else {
        const bf16 rounded = FloatToBf16(scale);
        std::memcpy(at + column * sizeof rounded, &rounded, sizeof rounded);
      }
    }
  }
}

template <class Layout>
void PackQuantised(const PanelRows& rows, const PackedMatrix& m, std::uint8_t* panel) {
  const std::size_t lines_in_all = m.inner / Layout::kLineInner;
  const std::size_t group_lines = m.group / Layout::kLineInner;
  Words words, lines;
  for (std::size_t first = 0; first < lines_in_all; first += kSide) {
    CopyWords(rows, first, words);
    Layout::kLineInner == 4 ? AddOffset(words) : SpreadNibbles(words);
    Transpose(words, lines);
    const std::size_t end = lines_in_all - first < kSide ? lines_in_all : first + kSide;
    for (std::size_t line = first; line < end;) {
      const std::size_t group = line / group_lines, within = line % group_lines;
      const std::size_t left =
          group_lines - within < end - line ? group_lines - within : end - line;
      std::memcpy(panel + GroupOffset<Layout>(group, m.group) + within * kLineBytes,
                  lines.at[line - first], left * kLineBytes);
      line += left;
    }
  }
  PackScales<Layout>(rows, m, panel);
}

}  // namespace

void PackPanel(const PanelRows& rows, const PackedMatrix& matrix, std::uint8_t* panel) {
  switch (matrix.format) {
    case WeightFormat::kBf16:
      return PackPlain(rows, matrix, panel);
    case WeightFormat::kInt8:
      return PackQuantised<Int8Layout>(rows, matrix, panel);
    case WeightFormat::kInt4:
      return PackQuantised<Int4Layout>(rows, matrix, panel);
  }
}

}  // namespace megascale
