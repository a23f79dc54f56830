// What the machine allows: the sender stores into memory that the receiver has mapped, and a flag
// tells. No protocol, no checks.
#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include "contender.hpp"

namespace megascale::bench {
namespace {

constexpr std::size_t kLine = 4096;

std::size_t RoundUp(std::size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

// One message's memory: a flag on a line of its own, then the bytes.
struct Mailbox {
  std::atomic<std::uint64_t>* flag;
  std::byte* bytes;
};

std::byte* memory = nullptr;

class FloorEnd : public End {
 public:
  FloorEnd(const Setup& setup, Role role, int rank)
      : setup_(setup), role_(role), rank_(rank), sent_(Size()), received_(Size()) {}

  std::byte* Outgoing(int peer, int slot) override { return Box(peer, slot, true).bytes; }

  bool TrySend(int peer, int slot) override {
    Box(peer, slot, true)
        .flag->store(++sent_[Index(peer, slot)] + base_, std::memory_order_release);
    return true;
  }

  const std::byte* TryReceive(int peer, int slot) override {
    const Mailbox box = Box(peer, slot, false);
    std::uint64_t& received = received_[Index(peer, slot)];
    if (box.flag->load(std::memory_order_acquire) != received + 1 + base_) return nullptr;
    ++received;
    return box.bytes;
  }

 private:
  std::size_t Peers() const {
    return static_cast<std::size_t>(role_ == Role::kSender ? setup_.receivers : setup_.senders);
  }
  std::size_t Size() const { return Peers() * static_cast<std::size_t>(setup_.slots); }
  std::size_t Index(int peer, int slot) const {
    return static_cast<std::size_t>(peer * setup_.slots + slot);
  }

  Mailbox Box(int peer, int slot, bool outgoing) const {
    const bool from_sender = (role_ == Role::kSender) == outgoing;
    const int sender = role_ == Role::kSender ? rank_ : peer;
    const int receiver = role_ == Role::kSender ? peer : rank_;
    const std::size_t each = kLine + RoundUp(setup_.message_bytes);
    const auto pair = static_cast<std::size_t>(sender * setup_.receivers + receiver);
    const std::size_t index =
        (pair * static_cast<std::size_t>(setup_.slots) + static_cast<std::size_t>(slot)) * 2 +
        (from_sender ? 0 : 1);
    std::byte* start = memory + index * each;
    return Mailbox{.flag = reinterpret_cast<std::atomic<std::uint64_t>*>(start),
                   .bytes = start + kLine};
  }

  Setup setup_;
  Role role_;
  int rank_;
  // Flags of one opening begin where no other's end: the memory is used again.
  static inline std::uint64_t opened_ = 0;
  std::uint64_t base_ = ++opened_ << 40;
  std::vector<std::uint64_t> sent_, received_;
};

}  // namespace

bool IsForked() { return true; }
int OwnRank(int*, char***) { return 0; }

void Prepare(const Setup& setup) {
  const std::size_t bytes = static_cast<std::size_t>(setup.senders) * setup.receivers *
                            setup.slots * 2 * (kLine + RoundUp(setup.message_bytes));
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (data == MAP_FAILED) throw std::runtime_error("no memory for the slots");
  memory = static_cast<std::byte*>(data);
}

std::unique_ptr<End> Open(const Setup& setup, Role role, int rank) {
  return std::make_unique<FloorEnd>(setup, role, rank);
}

}  // namespace megascale::bench
