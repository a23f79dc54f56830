#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

// A contender carries messages between S senders and R receivers, each a process of its own. The
// harness (harness.cc, with main) does the same with every contender: it writes the messages, hands
// them over, reads them, and takes the times. A contender is one file that defines the functions at
// the end of this one.
//
// Between a sender and a receiver there are `slots` slots in each direction. The sender uses them
// in turn, and a slot again only after it has read the answer to what it last sent in it; messages
// of a pair arrive in the order they were sent. So a contender needs no flow control of its own.
namespace megascale::bench {

struct Setup {
  int senders = 1;
  int receivers = 1;
  int slots = 1;
  std::size_t message_bytes = 0;  // Sender to receiver.
  std::size_t answer_bytes = 0;   // Receiver to sender.
  bool yields = false;    // More processes than cores: a waiting process gives the core away.
  std::string variant;    // One of a contender's ways to do it.
  std::string directory;  // For sockets' and segments' names; empty at first.
};

enum class Role { kSender, kReceiver };

// One process's end. Peers are the ranks of the other role.
class End {
 public:
  virtual ~End() = default;
  // Where the next message of this slot is to be written.
  virtual std::byte* Outgoing(int peer, int slot) = 0;
  // Hands the message over; false: not yet, call again. The harness then looks for what arrives.
  virtual bool TrySend(int peer, int slot) = 0;
  // The next message in this slot, or null. It stays until the slot's next message may arrive.
  virtual const std::byte* TryReceive(int peer, int slot) = 0;
  // Nothing is under way any more; called once before the end.
  virtual void Finish() {}
};

// The four functions of a contender.

// Before the processes are made, where the harness makes them: what they inherit (sockets, memory).
void Prepare(const Setup& setup);
// In each process. Returns when the end can reach all its peers.
std::unique_ptr<End> Open(const Setup& setup, Role role, int rank);
// False where the contender's own launcher makes the processes (mpirun): the harness then asks
// OwnRank which of the S + R it is, senders first.
bool IsForked();
int OwnRank(int* argc, char*** argv);

// Until `name` is there. For contenders that find each other by files in `Setup::directory`.
void AwaitFile(const std::string& path);
// Writes the file so that a process that waits for it finds it whole.
void WriteFile(const std::string& path, const std::string& content);
std::string ReadFile(const std::string& path);

}  // namespace megascale::bench
