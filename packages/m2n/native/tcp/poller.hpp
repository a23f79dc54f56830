#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <sys/epoll.h>

#include "tcp/socket.hpp"

namespace megascale::m2n {

// epoll, and a descriptor that ends a wait from another thread. Every socket has a number.
class Poller {
 public:
  Poller();  // Throws std::system_error.

  void Add(int fd, std::size_t number, bool read, bool write);
  void Change(int fd, std::size_t number, bool read, bool write);
  // What was closed is gone by itself.
  void Remove(int fd);

  // Until a socket is ready, Interrupt, or the time is over; takes nothing.
  void Wait(std::int64_t timeout_us);
  // Ends the wait under way, or the next one.
  void Interrupt();
  // Calls ready(number) for sockets that are ready now.
  template <class Ready>
  void ForEachReady(const Ready& ready) {
    const int count = Collect();
    for (int event = 0; event < count; ++event) {
      ready(static_cast<std::size_t>(events_[static_cast<std::size_t>(event)].data.u64));
    }
  }

 private:
  int Collect();

  FileDescriptor epoll_;
  FileDescriptor interrupt_;
  std::array<epoll_event, 64> events_{};
};

}  // namespace megascale::m2n
