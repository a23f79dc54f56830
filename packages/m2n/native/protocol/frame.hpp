#pragma once

#include <cstdint>

#include "protocol/segment_layout.hpp"

namespace megascale::m2n {

// A place in the order all attention ranks work in: by step, then layer, then micro-batch.
struct Position {
  std::int64_t step = 0;
  std::int32_t layer = 0;
  std::int32_t micro_batch = 0;
};

enum class FrameType { kRows, kPark };

// What an attention rank tells one expert rank about one micro-batch of one layer: src/frame.ts.
struct Frame : Position {
  FrameType type = FrameType::kRows;
  std::int32_t sequence = 0;
  std::int32_t tokens = 0;     // In the slot, for whatever expert rank.
  std::int32_t row_count = 0;  // For this expert rank.
  std::int32_t placement_epoch = 0;
  Position next;
};

// A frame as the words of one cache line (`frameWord` of src/wire-format.ts), little-endian.
// Plain stores: no reader looks at the words until a ring's head says so.
void EncodeFrame(const Frame& frame, std::int32_t* words);

// False when the words are no frame of this version, or ask for what the shape has not.
bool DecodeFrame(const std::int32_t* words, const PortShape& shape, Frame* frame);

// Words of shared memory that two processes or threads use, with the order both sides rely on.
std::int32_t LoadAcquire(const std::int32_t* word);
void StoreRelease(std::int32_t* word, std::int32_t value);

// A non-negative integer below 2⁵³ as two words, low first; read high first: a reader between the
// two stores sees too small a value.
void StoreLong(std::int32_t* words, std::int64_t value);
std::int64_t LoadLong(const std::int32_t* words);

// The sending end of the ring of one pair, in the segment at `words`: FrameWriter of
// src/frame-ring.ts.
class FrameWriter {
 public:
  FrameWriter(std::int32_t* words, const PairWords& pair) : words_(words), pair_(pair) {}
  // Frames that fit now; negative when the reader's word cannot be true.
  std::int32_t Room() const;
  // Gives the frame its sequence number. Only when Room() is positive.
  void Write(Frame* frame);

 private:
  std::int32_t* words_;
  PairWords pair_;
  std::uint32_t written_ = 0;
};

enum class ReadResult { kFrame, kEmpty, kInvalid };

// The receiving end.
class FrameReader {
 public:
  FrameReader(std::int32_t* words, const PairWords& pair, const PortShape& shape)
      : words_(words), pair_(pair), shape_(shape) {}
  // Takes the next frame. kInvalid: the memory holds what no writer of this version writes.
  ReadResult Read(Frame* frame);

 private:
  std::int32_t* words_;
  PairWords pair_;
  PortShape shape_;
  std::uint32_t read_ = 0;
};

}  // namespace megascale::m2n
