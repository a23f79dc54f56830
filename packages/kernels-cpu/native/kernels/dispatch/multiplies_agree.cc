#include "kernels/dispatch/multiplies_agree.hpp"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace megascale {
namespace {

constexpr std::size_t kInner = 192;  // six tile steps, or three of bytes
// Of a sum of kInner products of values in [-1, 1): far above rounding, far below a wrong tile.
constexpr float kDifferenceMax = 1e-3f;

// A fixed sequence of values in [-1, 1) that bf16 holds exactly.
class Values {
 public:
  bf16 Next() {
    state_ = state_ * 1664525u + 1013904223u;
    return FloatToBf16(static_cast<float>(state_ >> 25) / 64.0f - 1.0f);
  }

 private:
  std::uint32_t state_ = 1;
};

std::vector<bf16> Fill(std::size_t count, Values& values) {
  std::vector<bf16> filled(count);
  for (bf16& value : filled) value = values.Next();
  return filled;
}

// Where the panels lie and what they are.
struct Panels {
  const std::uint8_t* data;
  std::size_t bytes;  // of one
  std::size_t group;
};

std::vector<float> Multiply(const GemmKernels& gemm, const std::vector<bf16>& rows,
                            std::size_t row_count, const Panels& panels, std::size_t panel_count) {
  const std::size_t padded =
      (row_count + gemm.row_multiple - 1) / gemm.row_multiple * gemm.row_multiple;
  std::vector<const bf16*> pointers(row_count);
  for (std::size_t r = 0; r < row_count; ++r) pointers[r] = rows.data() + r * kInner;
  std::vector<std::uint8_t> a(padded * gemm.packed_row_bytes(kInner, panels.group));
  std::vector<float> c(padded * kTileStride);
  gemm.pack_rows({.rows = pointers.data(),
                  .count = row_count,
                  .width = kInner,
                  .inner = kInner,
                  .group = panels.group,
                  .dst = a.data()});
  if (gemm.begin != nullptr) gemm.begin();
  gemm.multiply({.a = a.data(),
                 .panels = panels.data,
                 .panel_bytes = panels.bytes,
                 .inner = kInner,
                 .group = panels.group,
                 .rows = row_count,
                 .panel_count = panel_count,
                 .c = c.data()});
  if (gemm.end != nullptr) gemm.end();
  c.resize(row_count * kTileStride);
  return c;
}

// Whether the used columns of c differ by no more than `difference_max`.
bool AreClose(const std::vector<float>& found, const std::vector<float>& expected,
              std::size_t panel_count, float difference_max) {
  for (std::size_t row = 0; row < found.size(); row += kTileStride) {
    for (std::size_t at = row; at < row + panel_count * kPanelColumns; ++at) {
      // Written so that a NaN fails.
      if (!(std::fabs(found[at] - expected[at]) <= difference_max)) return false;
    }
  }
  return true;
}

// Panels of any integers with scales in [1/2, 1).
template <class Layout>
std::vector<std::uint8_t> QuantizedPanels(std::size_t count, std::size_t group, Values& values) {
  const std::size_t bytes = QuantizedPanelBytes<Layout>(kInner, group);
  std::vector<std::uint8_t> panels(count * bytes);
  for (std::uint8_t& byte : panels) byte = static_cast<std::uint8_t>(values.Next());
  for (std::size_t panel = 0; panel < count; ++panel) {
    for (std::size_t g = 0; g < kInner / group; ++g) {
      std::uint8_t* at = panels.data() + panel * bytes + ScaleOffset<Layout>(g, group);
      for (std::size_t column = 0; column < kPanelColumns; ++column) {
        const auto scale = static_cast<bf16>(0x3f00u | (values.Next() & 0x7fu));
        constexpr std::size_t kBytes = 4 / Layout::kGroupsPerScaleLine;
        const std::uint32_t bits = std::uint32_t{scale} << (kBytes == 4 ? 16 : 0);
        std::memcpy(at + column * kBytes, &bits, kBytes);
      }
    }
  }
  return panels;
}

template <class Layout>
bool QuantizedMultipliesAgree(const GemmKernels& tested, const GemmKernels& trusted) {
  Values values;
  for (const std::size_t row_count : {1, 16, 33}) {
    // Blocks of a half step, of a step and a half, and of one step.
    for (const std::size_t group : {32, 96, 64}) {
      const auto rows = Fill(row_count * kInner, values);
      const auto bytes = QuantizedPanels<Layout>(kPanelsMax, group, values);
      const Panels panels{bytes.data(), bytes.size() / kPanelsMax, group};
      for (std::size_t panel_count = 1; panel_count <= kPanelsMax; ++panel_count) {
        const auto found = Multiply(tested, rows, row_count, panels, panel_count);
        const auto expected = Multiply(trusted, rows, row_count, panels, panel_count);
        if (!AreClose(found, expected, panel_count, 0.0f)) return false;
      }
    }
  }
  return true;
}

}  // namespace

bool MultipliesAgree(const GemmKernels& tested, const GemmKernels& trusted) {
  for (const std::size_t row_count : {1, 16, 33}) {
    for (std::size_t panel_count = 1; panel_count <= kPanelsMax; ++panel_count) {
      Values values;
      const auto rows = Fill(row_count * kInner, values);
      // Two tile steps more than are used: kernels fetch ahead.
      const auto filled = Fill((panel_count + 1) * kInner * kPanelColumns, values);
      const Panels panels{reinterpret_cast<const std::uint8_t*>(filled.data()),
                          kInner * kPanelColumns * sizeof(bf16), kInner};
      const auto found = Multiply(tested, rows, row_count, panels, panel_count);
      const auto expected = Multiply(trusted, rows, row_count, panels, panel_count);
      if (!AreClose(found, expected, panel_count, kDifferenceMax)) return false;
    }
  }
  return true;
}

bool MultipliesAgree(const QuantizedKernels& tested, const QuantizedKernels& trusted) {
  return QuantizedMultipliesAgree<Int8Layout>(tested.int8, trusted.int8) &&
         QuantizedMultipliesAgree<Int4Layout>(tested.int4, trusted.int4);
}

}  // namespace megascale
