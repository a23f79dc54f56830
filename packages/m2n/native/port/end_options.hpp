#pragma once

#include <cstdint>
#include <vector>

#include "protocol/segment_layout.hpp"
#include "shm/page_wishes.hpp"

namespace megascale::m2n {

// What one end of the protocol must know. The same on every rank but for `rank`.
struct EndOptions {
  PortShape shape;
  std::int32_t rank = 0;
  std::vector<std::int32_t> rank_of_expert =
      {};  // [expert_count] the expert rank that takes its rows, in every layer.
  // The epoch of that placement. These ends keep the placement they were made with: an expert end
  // refuses rows of any other epoch.
  std::int32_t placement_epoch = 0;
  // 32 bits that all segments of a deployment hold, whatever fixes them. Beside ends in TypeScript:
  // `shapeHash` of src/port-shape.ts.
  std::int32_t layout_hash = 0;
  PageWishes pages = {};      // Of the own segment.
  std::int64_t spin_us = 50;  // Of a wait, before it sleeps.
  bool spin_yields = false;   // See DoorbellWait.
  std::int64_t timeout_us = 5'000'000;
};

}  // namespace megascale::m2n
