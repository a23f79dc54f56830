#pragma once

// clang-format off
// Written by src/protocol/wire-format-header.ts; src/protocol/wire-format.ts explains the numbers.
// Do not edit.

#include <cstdint>

namespace megascale::m2n {

inline constexpr std::int64_t kAddressCharactersMax = 4096;

inline constexpr std::int64_t kCacheLineWords = 16;

inline constexpr std::int64_t kExpertsMax = 65536;

struct FrameKind {
  static constexpr std::int32_t kRows = 1295123457;
  static constexpr std::int32_t kPark = 1295123458;
};

struct FrameWord {
  static constexpr std::int32_t kKind = 0;
  static constexpr std::int32_t kSequence = 1;
  static constexpr std::int32_t kStepLow = 2;
  static constexpr std::int32_t kStepHigh = 3;
  static constexpr std::int32_t kLayer = 4;
  static constexpr std::int32_t kMicroBatch = 5;
  static constexpr std::int32_t kTokens = 6;
  static constexpr std::int32_t kRowCount = 7;
  static constexpr std::int32_t kNextStepLow = 8;
  static constexpr std::int32_t kNextStepHigh = 9;
  static constexpr std::int32_t kNextLayer = 10;
  static constexpr std::int32_t kNextMicroBatch = 11;
  static constexpr std::int32_t kPlacementEpoch = 12;
};

inline constexpr std::int64_t kFrameWords = 16;

inline constexpr std::int64_t kHiddenSizeMax = 1048576;

inline constexpr std::int64_t kLayersMax = 4096;

inline constexpr std::int64_t kProtocolVersion = 4;

struct ReplyWord {
  static constexpr std::int32_t kSequence = 0;
};

inline constexpr std::int64_t kReplyWords = 1;

inline constexpr std::int64_t kRingFrames = 64;

inline constexpr std::int64_t kSegmentBytesMax = 1099511627776;

struct SegmentMagic {
  static constexpr std::int32_t kAttention = 1295142465;
  static constexpr std::int32_t kExpert = 1295142469;
};

struct SegmentState {
  static constexpr std::int32_t kOpening = 0;
  static constexpr std::int32_t kOpen = 1;
  static constexpr std::int32_t kClosed = 2;
  static constexpr std::int32_t kLost = 3;
};

struct SegmentWord {
  static constexpr std::int32_t kMagic = 0;
  static constexpr std::int32_t kVersion = 1;
  static constexpr std::int32_t kNonceLow = 2;
  static constexpr std::int32_t kNonceHigh = 3;
  static constexpr std::int32_t kLayoutHash = 4;
  static constexpr std::int32_t kRank = 5;
  static constexpr std::int32_t kState = 16;
  static constexpr std::int32_t kDoorbellCount = 32;
  static constexpr std::int32_t kDoorbellParked = 33;
  static constexpr std::int32_t kStepSeenLow = 48;
  static constexpr std::int32_t kStepSeenHigh = 49;
  static constexpr std::int32_t kWaitsFor = 50;
  static constexpr std::int32_t kPeerMapped = 64;
};

inline constexpr std::int64_t kSlotAlignmentBytes = 64;

inline constexpr std::int64_t kSlotsMax = 64;

inline constexpr std::int64_t kStepsMax = 4503599627370496;

inline constexpr std::int64_t kTokensMax = 1048576;

inline constexpr std::int64_t kTopKMax = 256;

inline constexpr std::int64_t kWorkersMax = 1024;

}  // namespace megascale::m2n
// clang-format on
