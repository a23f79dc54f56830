#pragma once

#include <cstdint>
#include <vector>

#include "tcp/link.hpp"

namespace megascale::m2n {

// An expert rank's end: receives frames and their rows into the mirror of the attention rank's
// segment, where the port finds them; sends the answers that the port has written there.
class ExpertLink : public Link {
 public:
  ExpertLink(const PortSetup& port, const PeerSetup& attention,
             std::shared_ptr<AnonymousMemory> own, std::shared_ptr<AnonymousMemory> mirror);

 private:
  struct Slot {
    // kHeld: the port has rows it has not answered. kAnswering: the answers are on their way out.
    enum class State { kFree, kHeld, kAnswering } state = State::kFree;
    std::int32_t sequence = 0;
    std::int64_t tokens = 0;
  };

  bool MayReceive() override { return frames_.Room() > 0; }
  Arrival WorkArrived(const Head& head, MessageParts* in) override;
  bool PublishWork(const Head& head) override;
  bool NextWork(Head* head, MessageParts* out) override;
  void WorkSent() override;

  Arrival FrameArrived(const Head& head, MessageParts* in);
  Arrival RoutesArrived(const Head& head, MessageParts* in);

  AttentionSegmentLayout layout_;
  PairWords pair_;
  FrameWriter frames_;
  std::vector<Slot> slots_;  // [slot_count]
  Frame frame_;              // That is being received.
  std::uint32_t received_ = 0;
  bool awaits_routes_ = false;
  std::size_t answering_ = 0;
};

}  // namespace megascale::m2n
