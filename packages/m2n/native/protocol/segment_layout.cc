#include "protocol/segment_layout.hpp"

#include "protocol/wire_format.hpp"

namespace megascale::m2n {
namespace {

constexpr std::int64_t kWordBytes = 4;

std::int64_t RoundUp(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Words rounded up to whole cache lines.
std::int64_t Lines(std::int64_t words) { return RoundUp(words, kCacheLineWords); }

}  // namespace

AttentionSegmentLayout LayoutOfAttentionSegment(const PortShape& shape) {
  AttentionSegmentLayout layout;
  std::int64_t word = SegmentWord::kPeerMapped + Lines(shape.expert_worker_count);
  const auto take = [&](std::int64_t words) {
    const std::int64_t start = word;
    word += Lines(words);
    return start;
  };
  for (std::int64_t rank = 0; rank < shape.expert_worker_count; ++rank) {
    // Braces evaluate in order.
    layout.pairs.push_back(PairWords{.ring_head = take(1),
                                     .ring_tail = take(1),
                                     .ring_frames = take(kRingFrames * kFrameWords),
                                     .replies = take(shape.slot_count * kReplyWords)});
  }

  std::int64_t byte_offset = word * kWordBytes;
  const auto span = [&](std::int64_t byte_length) {
    const Span part{.byte_offset = byte_offset, .byte_length = byte_length};
    byte_offset += RoundUp(byte_length, kSlotAlignmentBytes);
    return part;
  };
  const std::int64_t routes = shape.tokens_per_slot_max * shape.top_k;
  for (std::int64_t slot = 0; slot < shape.slot_count; ++slot) {
    layout.slots.push_back(
        SlotSpans{.hidden = span(shape.tokens_per_slot_max * shape.RowBytes()),
                  .expert_ids = span(routes * static_cast<std::int64_t>(sizeof(std::int32_t))),
                  .expert_ranks = span(routes * static_cast<std::int64_t>(sizeof(std::int32_t))),
                  .weights = span(routes * static_cast<std::int64_t>(sizeof(float))),
                  .answers = span(routes * shape.RowBytes())});
  }
  layout.byte_length = byte_offset;
  return layout;
}

std::int64_t ExpertSegmentBytes(const PortShape& shape) {
  return (SegmentWord::kPeerMapped + Lines(shape.attention_worker_count)) * kWordBytes;
}

}  // namespace megascale::m2n
