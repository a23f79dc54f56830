#pragma once

#include <cstdint>
#include <vector>

namespace megascale::m2n {

// What fixes the layout of every segment of a deployment: src/port-shape.ts.
struct PortShape {
  std::int64_t attention_worker_count = 0;
  std::int64_t expert_worker_count = 0;
  std::int64_t layer_count = 0;
  std::int64_t hidden_size = 0;
  std::int64_t top_k = 0;
  std::int64_t element_bytes = 0;
  std::int64_t tokens_per_slot_max = 0;
  std::int64_t slot_count = 0;
  std::int64_t expert_count = 0;

  std::int64_t RowBytes() const { return hidden_size * element_bytes; }
};

struct Span {
  std::int64_t byte_offset = 0;
  std::int64_t byte_length = 0;
};

// Where one micro-batch's memory lies in its attention rank's segment.
struct SlotSpans {
  Span hidden;        // [tokens, hidden]
  Span expert_ids;    // [tokens, top_k] i32
  Span expert_ranks;  // [tokens, top_k] i32
  Span weights;       // [tokens, top_k] f32
  Span answers;       // [tokens, top_k, hidden]
};

// Word offsets of what one expert rank shares with the owner of an attention segment.
struct PairWords {
  std::int64_t ring_head = 0;
  std::int64_t ring_tail = 0;
  std::int64_t ring_frames = 0;
  std::int64_t replies = 0;
};

// The same as `attentionSegmentLayout` of src/segment-layout.ts, which a test holds equal.
struct AttentionSegmentLayout {
  std::int64_t byte_length = 0;
  std::vector<PairWords> pairs;  // [expert ranks]
  std::vector<SlotSpans> slots;  // [slot_count]
};

AttentionSegmentLayout LayoutOfAttentionSegment(const PortShape& shape);

// The segment of an expert rank holds control words only.
std::int64_t ExpertSegmentBytes(const PortShape& shape);

}  // namespace megascale::m2n
