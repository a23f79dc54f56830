#pragma once

#include "kernels/dispatch/kernel_table.hpp"
#include "kernels/rows/exponential.hpp"
#include "kernels/rows/rows.hpp"

// store: moves a finished tile [rows, panels · 16] f32 from the multiply's scratch to its rows, as
// the epilogue says.
namespace megascale {

template <class V>
void StoreActivation(const StoreParams& s, const float* c, bf16* out, std::size_t column) {
  const std::size_t count = LanesLeft(column, s.width);
  typename V::F x = V::Load(c);
  if (s.bias != nullptr) x = V::Add(x, V::LoadPartial(s.bias + column, count));
  StoreLanes<V>(out + column, x, count);
}

template <class V>
void StoreFloat(const StoreParams& s, const float* c, float* out, std::size_t column) {
  const std::size_t count = LanesLeft(column, s.width);
  StoreLanes<V>(out + column, V::Load(c), count);
}

template <class V>
void StoreSwiglu(const StoreParams& s, const float* c, bf16* out, std::size_t column) {
  const std::size_t count = LanesLeft(column, s.width);
  const typename V::F gate = V::Load(c), up = V::Load(c + kPanelColumns);
  StoreLanes<V>(out + column, V::Multiply(Silu<V>(gate), up), count);
}

template <class V>
void Store(const StoreParams& s) {
  for (std::size_t r = 0; r < s.rows; ++r) {
    const float* c = s.c + r * kTileStride;
    void* out = s.out_rows[r];
    switch (s.epilogue) {
      case Epilogue::kActivation:
        for (std::size_t p = 0; p < s.panel_count; ++p) {
          StoreActivation<V>(s, c + p * kPanelColumns, static_cast<bf16*>(out),
                             s.column + p * kPanelColumns);
        }
        break;
      case Epilogue::kFloat:
        for (std::size_t p = 0; p < s.panel_count; ++p) {
          StoreFloat<V>(s, c + p * kPanelColumns, static_cast<float*>(out),
                        s.column + p * kPanelColumns);
        }
        break;
      case Epilogue::kSwiglu:
        for (std::size_t p = 0; p + 1 < s.panel_count; p += 2) {
          StoreSwiglu<V>(s, c + p * kPanelColumns, static_cast<bf16*>(out),
                         s.column + p / 2 * kPanelColumns);
        }
        break;
    }
  }
}

}  // namespace megascale
