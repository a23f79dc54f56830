#include "kernels/multiplies_agree.hpp"

#include <cmath>
#include <cstdint>
#include <vector>

namespace megascale {
namespace {

constexpr std::size_t kInner = 96;  // three tile steps
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

std::vector<float> Multiply(const GemmKernels& gemm, const std::vector<bf16>& rows,
                            std::size_t row_count, const std::vector<bf16>& panels,
                            std::size_t panel_count) {
  const std::size_t padded =
      (row_count + gemm.row_multiple - 1) / gemm.row_multiple * gemm.row_multiple;
  std::vector<const bf16*> pointers(row_count);
  for (std::size_t r = 0; r < row_count; ++r) pointers[r] = rows.data() + r * kInner;
  std::vector<float> a(padded * kInner), c(padded * kTileStride);
  gemm.pack_rows({.rows = pointers.data(),
                  .count = row_count,
                  .width = kInner,
                  .inner = kInner,
                  .group = kInner,
                  .dst = a.data()});
  if (gemm.begin != nullptr) gemm.begin();
  gemm.multiply({.a = a.data(),
                 .panels = reinterpret_cast<const std::uint8_t*>(panels.data()),
                 .panel_bytes = kInner * kPanelColumns * sizeof(bf16),
                 .inner = kInner,
                 .group = kInner,
                 .rows = row_count,
                 .panel_count = panel_count,
                 .c = c.data()});
  if (gemm.end != nullptr) gemm.end();
  c.resize(row_count * kTileStride);
  return c;
}

}  // namespace

bool MultipliesAgree(const GemmKernels& tested, const GemmKernels& trusted) {
  for (const std::size_t row_count : {1, 16, 33}) {
    for (std::size_t panel_count = 1; panel_count <= kPanelsMax; ++panel_count) {
      Values values;
      const auto rows = Fill(row_count * kInner, values);
      // Two tile steps more than are used: kernels fetch ahead.
      const auto panels = Fill((panel_count + 1) * kInner * kPanelColumns, values);
      const auto found = Multiply(tested, rows, row_count, panels, panel_count);
      const auto expected = Multiply(trusted, rows, row_count, panels, panel_count);
      for (std::size_t r = 0; r < row_count; ++r) {
        for (std::size_t i = 0; i < panel_count * kPanelColumns; ++i) {
          const std::size_t at = r * kTileStride + i;
          // Written so that a NaN fails.
          if (!(std::fabs(found[at] - expected[at]) <= kDifferenceMax)) return false;
        }
      }
    }
  }
  return true;
}

}  // namespace megascale
