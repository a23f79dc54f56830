#include "protocol/frame.hpp"

#include <algorithm>
#include <array>
#include <atomic>

#include "protocol/wire_format.hpp"

namespace megascale::m2n {
namespace {

constexpr std::uint32_t kRingMask = static_cast<std::uint32_t>(kRingFrames) - 1;

bool Below(std::int64_t value, std::int64_t limit) { return value >= 0 && value < limit; }

void PutLong(std::int32_t* words, std::int64_t value) {
  words[0] = static_cast<std::int32_t>(value);
  words[1] = static_cast<std::int32_t>(value >> 32);
}

std::int64_t GetLong(const std::int32_t* words) {
  return (static_cast<std::int64_t>(words[1]) << 32) | static_cast<std::uint32_t>(words[0]);
}

bool IsValid(const Frame& frame, const PortShape& shape) {
  return Below(frame.step, kStepsMax) && Below(frame.next.step, kStepsMax + 1) &&
         Below(frame.layer, shape.layer_count) && Below(frame.micro_batch, shape.slot_count) &&
         Below(frame.next.layer, shape.layer_count) &&
         Below(frame.next.micro_batch, shape.slot_count) &&
         Below(frame.tokens, shape.tokens_per_slot_max + 1) &&
         Below(frame.row_count, frame.tokens * shape.top_k + 1) && frame.placement_epoch >= 0;
}

}  // namespace

void EncodeFrame(const Frame& frame, std::int32_t* words) {
  std::fill_n(words, kFrameWords, 0);
  words[FrameWord::kKind] = frame.type == FrameType::kRows ? FrameKind::kRows : FrameKind::kPark;
  words[FrameWord::kSequence] = frame.sequence;
  PutLong(words + FrameWord::kStepLow, frame.step);
  words[FrameWord::kLayer] = frame.layer;
  words[FrameWord::kMicroBatch] = frame.micro_batch;
  words[FrameWord::kTokens] = frame.tokens;
  words[FrameWord::kRowCount] = frame.row_count;
  PutLong(words + FrameWord::kNextStepLow, frame.next.step);
  words[FrameWord::kNextLayer] = frame.next.layer;
  words[FrameWord::kNextMicroBatch] = frame.next.micro_batch;
  words[FrameWord::kPlacementEpoch] = frame.placement_epoch;
}

bool DecodeFrame(const std::int32_t* words, const PortShape& shape, Frame* frame) {
  const std::int32_t kind = words[FrameWord::kKind];
  if (kind != FrameKind::kRows && kind != FrameKind::kPark) return false;
  frame->type = kind == FrameKind::kRows ? FrameType::kRows : FrameType::kPark;
  frame->sequence = words[FrameWord::kSequence];
  frame->step = GetLong(words + FrameWord::kStepLow);
  frame->layer = words[FrameWord::kLayer];
  frame->micro_batch = words[FrameWord::kMicroBatch];
  frame->tokens = words[FrameWord::kTokens];
  frame->row_count = words[FrameWord::kRowCount];
  frame->next.step = GetLong(words + FrameWord::kNextStepLow);
  frame->next.layer = words[FrameWord::kNextLayer];
  frame->next.micro_batch = words[FrameWord::kNextMicroBatch];
  frame->placement_epoch = words[FrameWord::kPlacementEpoch];
  return IsValid(*frame, shape);
}

std::int32_t LoadAcquire(const std::int32_t* word) {
  return std::atomic_ref(*const_cast<std::int32_t*>(word)).load(std::memory_order_acquire);
}

void StoreRelease(std::int32_t* word, std::int32_t value) {
  std::atomic_ref(*word).store(value, std::memory_order_release);
}

void StoreLong(std::int32_t* words, std::int64_t value) {
  StoreRelease(words, static_cast<std::int32_t>(value));
  StoreRelease(words + 1, static_cast<std::int32_t>(value >> 32));
}

std::int64_t LoadLong(const std::int32_t* words) {
  const std::int64_t high = LoadAcquire(words + 1);
  return (high << 32) | static_cast<std::uint32_t>(LoadAcquire(words));
}

std::int32_t FrameWriter::Room() const {
  const auto tail = static_cast<std::uint32_t>(LoadAcquire(words_ + pair_.ring_tail));
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(kRingFrames) - (written_ - tail));
}

void FrameWriter::Write(Frame* frame) {
  std::int32_t* words = words_ + pair_.ring_frames + (written_ & kRingMask) * kFrameWords;
  frame->sequence = static_cast<std::int32_t>(++written_);
  std::array<std::int32_t, kFrameWords> encoded;
  EncodeFrame(*frame, encoded.data());
  // A hostile reader may look early; it must not make this a data race.
  for (std::size_t word = 0; word < encoded.size(); ++word) {
    std::atomic_ref(words[word]).store(encoded[word], std::memory_order_relaxed);
  }
  StoreRelease(words_ + pair_.ring_head, frame->sequence);
}

ReadResult FrameReader::Read(Frame* frame) {
  const auto head = static_cast<std::uint32_t>(LoadAcquire(words_ + pair_.ring_head));
  const std::uint32_t unread = head - read_;
  if (unread == 0) return ReadResult::kEmpty;
  if (unread > static_cast<std::uint32_t>(kRingFrames)) return ReadResult::kInvalid;
  std::int32_t* words = words_ + pair_.ring_frames + (read_ & kRingMask) * kFrameWords;
  // A hostile writer may change the words meanwhile: each is read once.
  std::array<std::int32_t, kFrameWords> copy;
  for (std::size_t word = 0; word < copy.size(); ++word) {
    copy[word] = std::atomic_ref(words[word]).load(std::memory_order_relaxed);
  }
  ++read_;
  if (!DecodeFrame(copy.data(), shape_, frame)) return ReadResult::kInvalid;
  if (frame->sequence != static_cast<std::int32_t>(read_)) return ReadResult::kInvalid;
  StoreRelease(words_ + pair_.ring_tail, frame->sequence);
  return ReadResult::kFrame;
}

}  // namespace megascale::m2n
