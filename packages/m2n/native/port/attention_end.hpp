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

// The memory of one micro-batch; its layout is of `SlotSpans`.
struct AttentionEndSlot {
  std::byte* hidden;           // [tokens, hidden]
  std::int32_t* expert_ids;    // [tokens, top_k], -1 = none
  std::int32_t* expert_ranks;  // [tokens, top_k], written by Dispatch
  float* weights;              // [tokens, top_k]
  const std::byte* answers;    // [tokens, top_k, hidden]
};

// The attention side of M2N for programs without Node: what `AttentionPort` is in TypeScript, with
// the same memory and the same words, so that either end may be the other language.
//
//   EndOptions options{.shape = …, .rank = 0, .rank_of_expert = {0, 0, 1, 1}};
//   AttentionEnd end(options);
//   …give end.place() to every expert rank, collect theirs…
//   end.Join(experts);
//   AttentionEndSlot slot = end.slot(0);
//   …write slot.hidden, slot.expert_ids…
//   end.Dispatch({step, layer, 0}, next, tokens);
//   end.Combine(0);
//   …read slot.answers…
//
// Positions ascend, and `next` of a dispatch stands after it and not after that of the following
// one: expert ranks in TypeScript go by it (src/gather.ts). Steps start at 1; a rank that parked
// joins at StepSeen() + 1. Not thread-safe: one end is one thread. Nothing is allocated after Join.
class AttentionEnd {
 public:
  explicit AttentionEnd(const EndOptions& options);
  ~AttentionEnd();  // Expert ranks see the end.
  AttentionEnd(const AttentionEnd&) = delete;
  AttentionEnd& operator=(const AttentionEnd&) = delete;

  const SegmentPlace& place() const { return own_.place(); }
  // `experts`: by rank. Returns once all of them have mapped this segment.
  // Throws PortError kPeerTimeout, kPeerClosed, kFrameInvalid.
  void Join(const std::vector<SegmentPlace>& experts);

  AttentionEndSlot slot(std::int32_t micro_batch) const;
  // Sends each of the slot's first `tokens` rows to the expert ranks of its ids. The slot must not
  // be written until its Combine returned. Throws PortError kSlotOverflow, kFrameInvalid for an id
  // there is not (both before anything is sent); kPeerTimeout, kPeerClosed when a ring stays full.
  void Dispatch(const Position& at, const Position& next, std::int32_t tokens);
  // Returns when every answer of the slot's last dispatch is there. Throws PortError kPeerTimeout,
  // kPeerClosed.
  void Combine(std::int32_t micro_batch);
  // Whether Combine would return at once.
  bool IsAnswered(std::int32_t micro_batch);
  // No step follows for now: expert ranks do not wait for this one.
  void Park();
  // The greatest step that any expert rank has seen.
  std::int64_t StepSeen() const;

 private:
  // An answer that an expert rank owes.
  struct Debt {
    bool owed = false;
    std::int32_t sequence = 0;
  };

  void CountRoutes(const Position& at, std::int32_t tokens);
  void Send(std::size_t expert, Frame* frame);
  void AwaitRoom(std::size_t expert, const Position& at);
  Debt& DebtOf(std::int32_t micro_batch, std::size_t expert);
  bool HasAnswered(std::int32_t micro_batch, std::size_t expert);
  // Throws once this rank cannot be waited for any longer.
  void CheckPeer(std::size_t expert, const Position& at, bool closed, EndWait* wait) const;

  EndOptions options_;
  AttentionSegmentLayout layout_;
  OwnSegment own_;
  std::vector<PeerSegment> experts_;
  std::vector<FrameWriter> writers_;      // [expert ranks]
  std::vector<std::int32_t> row_counts_;  // [expert ranks] of the dispatch under way.
  std::vector<Position> positions_;       // [slots] of the last dispatch.
  std::vector<Debt> debts_;               // [slots, expert ranks]
};

}  // namespace megascale::m2n
