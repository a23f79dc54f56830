#if defined(__linux__)

#include "tcp/poller.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <system_error>

namespace megascale::m2n {
namespace {

constexpr std::uint64_t kInterruptNumber = ~std::uint64_t{0};

epoll_event EventOf(std::uint64_t number, bool read, bool write) {
  epoll_event event{};
  event.events = (read ? EPOLLIN : 0u) | (write ? EPOLLOUT : 0u);
  event.data.u64 = number;
  return event;
}

void MustSucceed(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

Poller::Poller()
    : epoll_(epoll_create1(EPOLL_CLOEXEC)), interrupt_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  MustSucceed(epoll_.get(), "epoll_create1");
  MustSucceed(interrupt_.get(), "eventfd");
  epoll_event event = EventOf(kInterruptNumber, true, false);
  MustSucceed(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, interrupt_.get(), &event), "epoll_ctl");
}

void Poller::Add(int fd, std::size_t number, bool read, bool write) {
  epoll_event event = EventOf(number, read, write);
  MustSucceed(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

void Poller::Change(int fd, std::size_t number, bool read, bool write) {
  epoll_event event = EventOf(number, read, write);
  MustSucceed(epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event), "epoll_ctl");
}

void Poller::Remove(int fd) { epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

void Poller::Wait(std::int64_t timeout_us) {
  pollfd ready{.fd = epoll_.get(), .events = POLLIN, .revents = 0};
  const timespec timeout{.tv_sec = static_cast<time_t>(timeout_us / 1'000'000),
                         .tv_nsec = static_cast<long>(timeout_us % 1'000'000 * 1000)};
  ppoll(&ready, 1, &timeout, nullptr);
}

void Poller::Interrupt() {
  const std::uint64_t one = 1;
  // Full means that an interrupt is there already.
  [[maybe_unused]] const ssize_t written = write(interrupt_.get(), &one, sizeof(one));
}

int Poller::Collect() {
  int count = epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), 0);
  int kept = 0;
  for (int event = 0; event < count; ++event) {
    const epoll_event& found = events_[static_cast<std::size_t>(event)];
    if (found.data.u64 == kInterruptNumber) {
      std::uint64_t interrupts = 0;
      [[maybe_unused]] const ssize_t got = read(interrupt_.get(), &interrupts, sizeof(interrupts));
    } else {
      events_[static_cast<std::size_t>(kept++)] = found;
    }
  }
  return kept;
}

}  // namespace megascale::m2n

#endif  // __linux__
