// Our own transport over shm, from C++: messages are written into the slots of @megascale/m2n.
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "contender.hpp"
#include "port/attention_end.hpp"
#include "port/expert_end.hpp"

namespace megascale::bench {
namespace {

using m2n::AttentionEnd;
using m2n::EndOptions;
using m2n::ExpertEnd;
using m2n::SegmentPlace;

// A row is a message: expert r lives on expert rank r, and token r is for it.
EndOptions OptionsOf(const Setup& setup, int rank) {
  EndOptions options;
  options.shape = {.attention_worker_count = setup.senders,
                   .expert_worker_count = setup.receivers,
                   .layer_count = 1,
                   .hidden_size = static_cast<std::int64_t>(setup.message_bytes / 4),
                   .top_k = 1,
                   .element_bytes = 4,
                   .tokens_per_slot_max = setup.receivers,
                   .slot_count = setup.slots,
                   .expert_count = setup.receivers};
  options.rank = rank;
  options.spin_us = 1'000'000;
  options.spin_yields = setup.yields;
  for (int expert = 0; expert < setup.receivers; ++expert) options.rank_of_expert.push_back(expert);
  return options;
}

std::string PlaceFile(const Setup& setup, Role role, int rank) {
  return setup.directory + (role == Role::kSender ? "/sender-" : "/receiver-") +
         std::to_string(rank);
}

void Tell(const Setup& setup, Role role, int rank, const SegmentPlace& place) {
  std::string bytes(sizeof(place), '\0');
  std::memcpy(bytes.data(), &place, sizeof(place));
  WriteFile(PlaceFile(setup, role, rank), bytes);
}

std::vector<SegmentPlace> AllOf(const Setup& setup, Role role) {
  std::vector<SegmentPlace> places;
  const int count = role == Role::kSender ? setup.senders : setup.receivers;
  for (int rank = 0; rank < count; ++rank) {
    AwaitFile(PlaceFile(setup, role, rank));
    const std::string bytes = ReadFile(PlaceFile(setup, role, rank));
    std::memcpy(&places.emplace_back(), bytes.data(), sizeof(SegmentPlace));
  }
  return places;
}

// A dispatch carries the messages for all receivers: it goes out with the last of them.
class SenderEnd : public End {
 public:
  SenderEnd(const Setup& setup, int rank)
      : setup_(setup), end_(OptionsOf(setup, rank)), written_(Slots()), answered_(Slots()) {
    Tell(setup, Role::kSender, rank, end_.place());
    end_.Join(AllOf(setup, Role::kReceiver));
    for (int slot = 0; slot < setup.slots; ++slot) {
      slots_.push_back(end_.slot(slot));
      for (int peer = 0; peer < setup.receivers; ++peer) slots_.back().expert_ids[peer] = peer;
    }
  }

  std::byte* Outgoing(int peer, int slot) override {
    return slots_[Index(slot)].hidden + setup_.message_bytes * static_cast<std::size_t>(peer);
  }

  bool TrySend(int, int slot) override {
    if (++written_[Index(slot)] < setup_.receivers) return true;
    written_[Index(slot)] = 0;
    answered_[Index(slot)] = 0;
    const bool wraps = slot + 1 == setup_.slots;
    const m2n::Position at{.step = step_, .layer = 0, .micro_batch = slot};
    if (wraps) ++step_;
    end_.Dispatch(at, {.step = step_, .layer = 0, .micro_batch = wraps ? 0 : slot + 1},
                  setup_.receivers);
    return true;
  }

  const std::byte* TryReceive(int peer, int slot) override {
    if (written_[Index(slot)] != 0) return nullptr;
    // The answers of all receivers are of one turn.
    if (answered_[Index(slot)] == 0 && !end_.IsAnswered(slot)) return nullptr;
    ++answered_[Index(slot)];
    return slots_[Index(slot)].answers + setup_.message_bytes * static_cast<std::size_t>(peer);
  }

 private:
  std::size_t Slots() const { return Index(setup_.slots); }
  static std::size_t Index(int slot) { return static_cast<std::size_t>(slot); }

  Setup setup_;
  AttentionEnd end_;
  std::vector<m2n::AttentionEndSlot> slots_;
  std::vector<int> written_, answered_;  // [slots] messages since the last turn.
  std::int64_t step_ = 1;
};

class ReceiverEnd : public End {
 public:
  ReceiverEnd(const Setup& setup, int rank)
      : setup_(setup), end_(OptionsOf(setup, rank)), frames_(Index(setup.senders, 0)) {
    Tell(setup, Role::kReceiver, rank, end_.place());
    end_.Join(AllOf(setup, Role::kSender));
  }

  std::byte* Outgoing(int peer, int slot) override {
    return frames_[Index(peer, slot)].received.rows[0].answer;
  }

  bool TrySend(int peer, int slot) override {
    Held& held = frames_[Index(peer, slot)];
    end_.Reply(held.received);
    held.is_there = false;
    return true;
  }

  const std::byte* TryReceive(int peer, int slot) override {
    Held& wanted = frames_[Index(peer, slot)];
    if (!wanted.is_there && !TakeNext()) return nullptr;
    if (!wanted.is_there || wanted.is_read) return nullptr;
    wanted.is_read = true;
    return wanted.received.rows[0].hidden;
  }

 private:
  struct Held {
    m2n::ReceivedFrame received;
    bool is_there = false;
    bool is_read = false;
  };
  std::size_t Index(int peer, int slot) const {
    return static_cast<std::size_t>(peer * setup_.slots + slot);
  }

  // Frames come in whatever order of senders; each waits for whoever asks for it.
  bool TakeNext() {
    if (end_.Receive(&next_, 0) != m2n::Received::kFrame) return false;
    Held& held = frames_[Index(next_.attention_rank, next_.frame.micro_batch)];
    std::swap(held.received, next_);
    held.is_there = true;
    held.is_read = false;
    return true;
  }

  Setup setup_;
  ExpertEnd end_;
  std::vector<Held> frames_;  // [senders × slots]
  m2n::ReceivedFrame next_;
};

}  // namespace

bool IsForked() { return true; }
int OwnRank(int*, char***) { return 0; }
void Prepare(const Setup&) {}

std::unique_ptr<End> Open(const Setup& setup, Role role, int rank) {
  if (role == Role::kSender) return std::make_unique<SenderEnd>(setup, rank);
  return std::make_unique<ReceiverEnd>(setup, rank);
}

}  // namespace megascale::bench
