#pragma once

#include <vector>

#include "tcp/link.hpp"

namespace megascale::m2n {

// An attention rank's end: takes frames from the own segment's ring and sends them with the rows
// they announce; receives answers into the own slots.
class AttentionLink : public Link {
 public:
  AttentionLink(const PortSetup& port, const PeerSetup& expert,
                std::shared_ptr<AnonymousMemory> own, std::shared_ptr<AnonymousMemory> mirror);

 private:
  // What the expert rank owes for one micro-batch.
  struct Owed {
    bool is_owed = false;
    std::int32_t sequence = 0;
    std::int64_t tokens = 0;
  };

  Arrival WorkArrived(const Head& head, MessageParts* in) override;
  bool PublishWork(const Head& head) override;
  bool NextWork(Head* head, MessageParts* out) override;
  void WorkSent() override {}

  AttentionSegmentLayout layout_;
  PairWords pair_;
  FrameReader frames_;
  std::vector<Owed> owed_;  // [slot_count]
};

}  // namespace megascale::m2n
