#if defined(__linux__)

#include "tcp/socket.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <stdexcept>
#include <system_error>

namespace megascale::m2n {
namespace {

[[noreturn]] void ThrowErrno(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

std::string TextOf(const Endpoint& endpoint) {
  const bool is_v6 = endpoint.host.find(':') != std::string::npos;
  return (is_v6 ? "[" + endpoint.host + "]" : endpoint.host) + ":" + std::to_string(endpoint.port);
}

struct AddressListDeleter {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

std::unique_ptr<addrinfo, AddressListDeleter> Resolve(const Endpoint& endpoint) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const std::string service = std::to_string(endpoint.port);
  if (getaddrinfo(endpoint.host.c_str(), service.c_str(), &hints, &list) != 0 || list == nullptr) {
    throw std::runtime_error("'" + endpoint.host + "' is no IPv4 or IPv6 address");
  }
  return std::unique_ptr<addrinfo, AddressListDeleter>(list);
}

FileDescriptor NewSocket(int family) {
  FileDescriptor fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.IsOpen()) ThrowErrno("socket");
  return fd;
}

void Set(const FileDescriptor& socket, int level, int name, int value, const char* what) {
  if (setsockopt(socket.get(), level, name, &value, sizeof(value)) != 0) ThrowErrno(what);
}

bool IsV6(const FileDescriptor& socket) {
  int domain = 0;
  socklen_t length = sizeof(domain);
  return getsockopt(socket.get(), SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 &&
         domain == AF_INET6;
}

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    Close();
    fd_ = other.fd_;
    other.fd_ = -1;
  }
  return *this;
}

void FileDescriptor::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

FileDescriptor Listen(const Endpoint& endpoint, Endpoint* bound) {
  const auto address = Resolve(endpoint);
  FileDescriptor listener = NewSocket(address->ai_family);
  Set(listener, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
  if (bind(listener.get(), address->ai_addr, address->ai_addrlen) != 0 ||
      listen(listener.get(), SOMAXCONN) != 0) {
    ThrowErrno("cannot listen on " + TextOf(endpoint));
  }
  sockaddr_storage name{};
  socklen_t length = sizeof(name);
  if (getsockname(listener.get(), reinterpret_cast<sockaddr*>(&name), &length) != 0) {
    ThrowErrno("getsockname");
  }
  const auto port = name.ss_family == AF_INET6
                        ? reinterpret_cast<const sockaddr_in6&>(name).sin6_port
                        : reinterpret_cast<const sockaddr_in&>(name).sin_port;
  *bound = Endpoint{.host = endpoint.host, .port = ntohs(port)};
  return listener;
}

FileDescriptor Accept(const FileDescriptor& listener) {
  return FileDescriptor(accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

FileDescriptor Connect(const Endpoint& endpoint, const SocketOptions& options) {
  const auto address = Resolve(endpoint);
  FileDescriptor socket = NewSocket(address->ai_family);
  Configure(socket, options);
  if (connect(socket.get(), address->ai_addr, address->ai_addrlen) != 0 && errno != EINPROGRESS) {
    ThrowErrno("cannot connect to " + TextOf(endpoint));
  }
  return socket;
}

int ConnectError(const FileDescriptor& socket) {
  int error = 0;
  socklen_t length = sizeof(error);
  if (getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

void Configure(const FileDescriptor& socket, const SocketOptions& options) {
  Set(socket, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
  const auto silence_ms = static_cast<int>(
      std::clamp<std::int64_t>(options.silence_us / 1000, 1, 24 * 3600 * std::int64_t{1000}));
  Set(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, silence_ms, "TCP_USER_TIMEOUT");
  if (options.busy_poll_us > 0) {
    Set(socket, SOL_SOCKET, SO_BUSY_POLL, options.busy_poll_us, "network.busyPollUs");
  }
  if (options.traffic_class > 0) {
    if (IsV6(socket)) {
      Set(socket, IPPROTO_IPV6, IPV6_TCLASS, options.traffic_class, "network.trafficClass");
    } else {
      Set(socket, IPPROTO_IP, IP_TOS, options.traffic_class, "network.trafficClass");
    }
  }
  const std::string& congestion = options.congestion_control;
  if (!congestion.empty() && setsockopt(socket.get(), IPPROTO_TCP, TCP_CONGESTION,
                                        congestion.data(), socklen_t(congestion.size())) != 0) {
    ThrowErrno("network.congestionControl '" + congestion + "'");
  }
}

}  // namespace megascale::m2n

#endif  // __linux__
