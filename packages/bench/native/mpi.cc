// Open MPI; ranks are senders, then receivers. Variants "persistent" (persistent point-to-point
// requests) and "alltoallv" (one collective per turn of all messages; with one slot).
#include <mpi.h>

#include <stdexcept>
#include <vector>

#include "contender.hpp"

namespace megascale::bench {
namespace {

struct Layout {
  Setup setup;
  Role role;
  int peers;
  std::size_t out_bytes;
  std::size_t in_bytes;

  Layout(const Setup& given, Role own)
      : setup(given),
        role(own),
        peers(own == Role::kSender ? given.receivers : given.senders),
        out_bytes(own == Role::kSender ? given.message_bytes : given.answer_bytes),
        in_bytes(own == Role::kSender ? given.answer_bytes : given.message_bytes) {}

  int RankOf(int peer) const { return role == Role::kSender ? setup.senders + peer : peer; }
};

class PersistentEnd : public End {
 public:
  PersistentEnd(const Setup& setup, Role role) : layout_(setup, role) {
    for (int peer = 0; peer < layout_.peers; ++peer) {
      for (int slot = 0; slot < setup.slots; ++slot) {
        links_.push_back(Link{.outgoing = std::vector<std::byte>(layout_.out_bytes),
                              .incoming = std::vector<std::byte>(layout_.in_bytes)});
        Link& link = links_.back();
        const int rank = layout_.RankOf(peer);
        MPI_Send_init(link.outgoing.data(), static_cast<int>(layout_.out_bytes), MPI_BYTE, rank,
                      slot, MPI_COMM_WORLD, &link.send);
        MPI_Recv_init(link.incoming.data(), static_cast<int>(layout_.in_bytes), MPI_BYTE, rank,
                      slot, MPI_COMM_WORLD, &link.receive);
        MPI_Start(&link.receive);
      }
    }
  }

  std::byte* Outgoing(int peer, int slot) override {
    // The answer to the last message is here, so that was sent.
    Link& link = LinkOf(peer, slot);
    if (link.is_sending) MPI_Wait(&link.send, MPI_STATUS_IGNORE);
    link.is_sending = false;
    // What was received in this slot has been read: its next message may come.
    if (link.is_taken) MPI_Start(&link.receive);
    link.is_taken = false;
    return link.outgoing.data();
  }

  bool TrySend(int peer, int slot) override {
    Link& link = LinkOf(peer, slot);
    MPI_Start(&link.send);
    link.is_sending = true;
    return true;
  }

  const std::byte* TryReceive(int peer, int slot) override {
    Link& link = LinkOf(peer, slot);
    int is_there = 0;
    if (!link.is_taken) MPI_Test(&link.receive, &is_there, MPI_STATUS_IGNORE);
    if (is_there == 0) return nullptr;
    link.is_taken = true;
    return link.incoming.data();
  }

  void Finish() override {
    for (Link& link : links_) {
      if (link.is_sending) MPI_Wait(&link.send, MPI_STATUS_IGNORE);
      if (!link.is_taken) {
        MPI_Cancel(&link.receive);
        MPI_Wait(&link.receive, MPI_STATUS_IGNORE);
      }
      MPI_Request_free(&link.send);
      MPI_Request_free(&link.receive);
    }
    MPI_Barrier(MPI_COMM_WORLD);
  }

 private:
  struct Link {
    std::vector<std::byte> outgoing, incoming;
    MPI_Request send = MPI_REQUEST_NULL, receive = MPI_REQUEST_NULL;
    bool is_sending = false;
    bool is_taken = false;
  };
  Link& LinkOf(int peer, int slot) {
    return links_[static_cast<std::size_t>(peer * layout_.setup.slots + slot)];
  }

  Layout layout_;
  std::vector<Link> links_;
};

// All messages of a turn in one collective: the senders' turn, then the receivers'. A process
// starts a collective when it has written to all its peers, or when it looks for what arrives.
class CollectiveEnd : public End {
 public:
  CollectiveEnd(const Setup& setup, Role role) : layout_(setup, role) {
    if (setup.slots != 1) throw std::runtime_error("alltoallv has one slot");
    int processes = 0;
    MPI_Comm_size(MPI_COMM_WORLD, &processes);
    const auto size = static_cast<std::size_t>(processes);
    const auto peers = static_cast<std::size_t>(layout_.peers);
    outgoing_.resize(layout_.out_bytes * peers);
    incoming_.resize(layout_.in_bytes * peers);
    none_.resize(size);
    out_counts_.resize(size);
    out_offsets_.resize(size);
    in_counts_.resize(size);
    in_offsets_.resize(size);
    for (int peer = 0; peer < layout_.peers; ++peer) {
      const auto rank = static_cast<std::size_t>(layout_.RankOf(peer));
      out_counts_[rank] = static_cast<int>(layout_.out_bytes);
      out_offsets_[rank] = static_cast<int>(layout_.out_bytes) * peer;
      in_counts_[rank] = static_cast<int>(layout_.in_bytes);
      in_offsets_[rank] = static_cast<int>(layout_.in_bytes) * peer;
    }
    if (role == Role::kReceiver) StartReceiving();
  }

  std::byte* Outgoing(int peer, int) override {
    return outgoing_.data() + layout_.out_bytes * static_cast<std::size_t>(peer);
  }

  bool TrySend(int, int) override {
    if (++written_ < layout_.peers) return true;
    written_ = 0;
    MPI_Request sending;
    MPI_Ialltoallv(outgoing_.data(), out_counts_.data(), out_offsets_.data(), MPI_BYTE,
                   incoming_.data(), none_.data(), in_offsets_.data(), MPI_BYTE, MPI_COMM_WORLD,
                   &sending);
    MPI_Wait(&sending, MPI_STATUS_IGNORE);
    StartReceiving();
    return true;
  }

  const std::byte* TryReceive(int peer, int) override {
    if (!is_there_) {
      int is_there = 0;
      MPI_Test(&receiving_, &is_there, MPI_STATUS_IGNORE);
      is_there_ = is_there != 0;
    }
    if (!is_there_) return nullptr;
    return incoming_.data() + layout_.in_bytes * static_cast<std::size_t>(peer);
  }

  void Finish() override {
    // Receivers wait for a turn that does not come: the senders take part in it with nothing to
    // say.
    MPI_Request last;
    if (layout_.role == Role::kSender) {
      std::fill(out_counts_.begin(), out_counts_.end(), 0);
      for (int peer = 0; peer < layout_.peers; ++peer) {
        out_counts_[static_cast<std::size_t>(layout_.RankOf(peer))] =
            static_cast<int>(layout_.out_bytes);
      }
      MPI_Ialltoallv(outgoing_.data(), out_counts_.data(), out_offsets_.data(), MPI_BYTE,
                     incoming_.data(), none_.data(), in_offsets_.data(), MPI_BYTE, MPI_COMM_WORLD,
                     &last);
      MPI_Wait(&last, MPI_STATUS_IGNORE);
    } else {
      MPI_Wait(&receiving_, MPI_STATUS_IGNORE);
    }
    MPI_Barrier(MPI_COMM_WORLD);
  }

 private:
  void StartReceiving() {
    is_there_ = false;
    MPI_Ialltoallv(outgoing_.data(), none_.data(), out_offsets_.data(), MPI_BYTE, incoming_.data(),
                   in_counts_.data(), in_offsets_.data(), MPI_BYTE, MPI_COMM_WORLD, &receiving_);
  }

  Layout layout_;
  std::vector<std::byte> outgoing_, incoming_;
  std::vector<int> none_, out_counts_, out_offsets_, in_counts_, in_offsets_;
  MPI_Request receiving_ = MPI_REQUEST_NULL;
  bool is_there_ = false;
  int written_ = 0;
};

}  // namespace

bool IsForked() { return false; }

int OwnRank(int* argc, char*** argv) {
  MPI_Init(argc, argv);
  std::atexit([] { MPI_Finalize(); });
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

void Prepare(const Setup&) {}

std::unique_ptr<End> Open(const Setup& setup, Role role, int) {
  if (setup.variant == "alltoallv") return std::make_unique<CollectiveEnd>(setup, role);
  return std::make_unique<PersistentEnd>(setup, role);
}

}  // namespace megascale::bench
