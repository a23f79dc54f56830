#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "tcp/port_setup.hpp"

namespace megascale::m2n {

// Where an expert rank keeps connections that have not proved yet to be of an attention rank of
// this deployment. They are few, hold 80 bytes each, and have a deadline; when all places are
// taken, the one that has been silent for longest gives way. A hello that names this port's
// nonce may come before the rendezvous has told this rank of its peers: it waits for them.
class Lobby {
 public:
  // `places` at a time.
  Lobby(const PortSetup& port, std::size_t places);

  // The place that the guest got.
  std::size_t Admit(FileDescriptor socket, std::int64_t now_us);
  // Something has come from the guest. True once its hello is complete and plausible.
  bool Receive(std::size_t place, std::int64_t now_us);
  // Guests whose time is up leave.
  void Tick(std::int64_t now_us);
  // The first complete hello of this rank at or after `*place`, if any.
  bool Find(std::int32_t attention_rank, std::size_t* place) const;
  // Whether the hello proves that its sender is the peer.
  bool IsProved(std::size_t place, const PeerSetup& peer) const;
  FileDescriptor Take(std::size_t place);
  void Refuse(std::size_t place, RefusalReason reason);
  void Clear();

  int fd(std::size_t place) const { return guests_[place].socket.get(); }
  bool IsEmpty() const;
  std::int64_t refused_count() const { return refused_count_; }

 private:
  struct Guest {
    FileDescriptor socket;
    Head head{};
    Tag tag{};
    std::size_t received = 0;
    bool is_complete = false;
    std::int64_t until_us = 0;
  };

  bool HeadArrived(std::size_t place);
  std::size_t FreePlace();

  const PortSetup& port_;
  std::vector<Guest> guests_;
  std::int64_t refused_count_ = 0;
};

}  // namespace megascale::m2n
