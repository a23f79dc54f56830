#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "port/end_options.hpp"
#include "port/end_wait.hpp"
#include "port/peer_segment.hpp"
#include "protocol/frame.hpp"
#include "protocol/segment_layout.hpp"

namespace megascale::m2n {

// One row of a received frame.
struct ReceivedRow {
  std::int32_t expert_id;
  std::int32_t token;
  const std::byte* hidden;  // [hidden_size]
  std::byte* answer;        // [hidden_size]
};

struct ReceivedFrame {
  std::int32_t attention_rank = 0;
  Frame frame;
  std::vector<ReceivedRow> rows;  // By token, then k. Valid until Reply.
};

enum class Received { kFrame, kNothing, kEnded };

// The expert side of M2N for programs without Node: reads the frames of all attention ranks and
// serves each as it comes. It does not gather: rows of several ranks are not merged, so nobody
// waits for anybody (`ExpertPort` in TypeScript does that, src/gather.ts).
//
//   ExpertEnd end(options);
//   …trade end.place() for those of the attention ranks…
//   end.Join(attention);
//   ReceivedFrame received;
//   for (;;) {
//     const Received result = end.Receive(&received, 1'000'000);
//     if (result == Received::kEnded) break;
//     if (result == Received::kNothing) continue;
//     for (const ReceivedRow& row : received.rows) …read row.hidden, write row.answer…
//     end.Reply(received);
//   }
//
// Not thread-safe: one end is one thread. Nothing is allocated after the first Receive.
class ExpertEnd {
 public:
  explicit ExpertEnd(const EndOptions& options);
  ~ExpertEnd();  // Attention ranks see the end.
  ExpertEnd(const ExpertEnd&) = delete;
  ExpertEnd& operator=(const ExpertEnd&) = delete;

  const SegmentPlace& place() const { return own_.place(); }
  // `attention`: by rank. Returns once all of them have mapped this segment.
  // Throws PortError kPeerTimeout, kPeerClosed, kFrameInvalid.
  void Join(const std::vector<SegmentPlace>& attention);

  // The next frame with rows, of each attention rank in turn; kNothing after so long without one:
  // nobody owes this end anything. kEnded once every attention rank closed.
  // Throws PortError kFrameInvalid for what no end of this version writes, kPeerClosed when the
  // thread of an attention rank ended without closing.
  Received Receive(ReceivedFrame* received, std::int64_t timeout_us);
  // Makes the written answers visible to their rank.
  void Reply(const ReceivedFrame& received);

 private:
  bool TakeFrame(std::size_t rank, ReceivedFrame* received);
  void CollectRows(ReceivedFrame* received) const;
  bool AllClosed() const;
  void CheckLives() const;

  EndOptions options_;
  AttentionSegmentLayout layout_;
  OwnSegment own_;
  std::vector<PeerSegment> attention_;
  std::vector<FrameReader> readers_;  // [attention ranks]
  std::size_t next_rank_ = 0;         // Whose ring is looked at first.
  std::int64_t step_seen_ = 0;
};

}  // namespace megascale::m2n
