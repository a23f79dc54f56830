#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tcp/link.hpp"
#include "tcp/lobby.hpp"
#include "tcp/poller.hpp"

namespace megascale::m2n {

// All sockets of one port: its links, the listener, and who waits in the lobby. One thread at a
// time; Engine says which.
class LinkSet {
 public:
  // An expert rank listens from now on. Throws std::system_error, std::runtime_error.
  explicit LinkSet(const PortSetup& port);

  const std::shared_ptr<AnonymousMemory>& own() const { return own_; }
  const Endpoint& bound() const { return bound_; }
  // The mirror of the peer's segment. Its state word tells what becomes of the connection.
  std::shared_ptr<AnonymousMemory> AddPeer(const PeerSetup& peer, std::int64_t now_us);
  void StopListening();
  // Null where there is none.
  Link* Find(std::int32_t rank);

  // Sends what the port has for this rank.
  void Send(std::int32_t rank, std::int64_t now_us);
  void SendAll(std::int64_t now_us);
  // Looks at every link, which is cheapest where there are few.
  bool PassOverLinks(std::int64_t now_us);
  // Handles what the poller says. False: nothing happened.
  bool PassOverReady(std::int64_t now_us);
  // Deadlines and signs of life, when it is time.
  void Tick(std::int64_t now_us);
  void SendNewSteps(std::int64_t now_us);

  void BeginClosing(std::int64_t now_us);
  bool IsFinished() const;
  void CloseAll();

  Poller& poller() { return poller_; }
  std::int64_t refused_count() const { return lobby_.refused_count(); }
  std::int64_t tick_us() const { return tick_us_; }
  bool HasFewLinks() const { return few_links_; }

 private:
  void Accept(std::int64_t now_us);
  void Welcome(Link* link, std::int64_t now_us);
  void GuestIsReady(std::size_t place, std::int64_t now_us);
  void Touch(std::size_t index);
  std::size_t GuestNumber(std::size_t place) const { return 1 + links_.size() + place; }

  const PortSetup port_;
  std::shared_ptr<AnonymousMemory> own_;
  std::vector<std::unique_ptr<Link>> links_;  // [peers]
  // [peers] what the poller was told.
  struct Interest {
    int fd = -1;
    bool read = false;
    bool write = false;
  };
  std::vector<Interest> interests_;
  Lobby lobby_;
  FileDescriptor listener_;
  Endpoint bound_;
  Poller poller_;
  std::int64_t next_tick_us_ = 0;
  std::int64_t tick_us_;
  bool few_links_;
};

}  // namespace megascale::m2n
