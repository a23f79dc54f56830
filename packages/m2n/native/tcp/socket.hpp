#pragma once

#include <cstdint>
#include <string>

namespace megascale::m2n {

// Closes its descriptor.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() { Close(); }
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  int get() const { return fd_; }
  bool IsOpen() const { return fd_ >= 0; }
  void Close();

 private:
  int fd_ = -1;
};

// A numeric IPv4 or IPv6 address; names are not looked up.
struct Endpoint {
  std::string host;
  int port = 0;
};

struct SocketOptions {
  int busy_poll_us = 0;
  int traffic_class = 0;
  std::string congestion_control;  // Empty: the system's.
  std::int64_t silence_us =
      0;  // Sent bytes that stay unacknowledged for longer end the connection.
};

// All throw std::system_error or std::runtime_error that says what failed. Sockets do not block.

// `bound` gets the port that the system chose.
FileDescriptor Listen(const Endpoint& endpoint, Endpoint* bound);
// The next connection, or none.
FileDescriptor Accept(const FileDescriptor& listener);
// Begins to connect; the socket is writable once that has ended, see ConnectError.
FileDescriptor Connect(const Endpoint& endpoint, const SocketOptions& options);
// 0, or the errno of a Connect that failed.
int ConnectError(const FileDescriptor& socket);
void Configure(const FileDescriptor& socket, const SocketOptions& options);

}  // namespace megascale::m2n
