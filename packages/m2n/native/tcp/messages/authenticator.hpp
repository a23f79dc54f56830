#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "tcp/messages/message.hpp"
#include "tcp/messages/message_parts.hpp"

namespace megascale::m2n {

using Key = std::array<unsigned char, 32>;
using Tag = std::array<unsigned char, kTagBytes>;

// Of one pair of ranks: one key for each direction.
struct PairKeys {
  Key attention_to_expert{};
  Key expert_to_attention{};
};

// Why messages cannot be authenticated in this process, or nothing. The cipher is OpenSSL 3's,
// which the node program carries and exports.
std::optional<const char*> AuthenticationIsMissing();

// Tags the messages of one direction of one connection, in order: AES-256-GCM over additional data
// only (GMAC). The nonce is the message's number, so a message that was left out, repeated or
// moved has a wrong tag.
class Authenticator {
 public:
  // `number` of the message that comes first. Throws std::runtime_error where
  // AuthenticationIsMissing.
  explicit Authenticator(const Key& key, std::uint64_t number = 0);
  ~Authenticator();
  Authenticator(const Authenticator&) = delete;
  Authenticator& operator=(const Authenticator&) = delete;

  // The tag of the next message.
  Tag Next(const MessageParts& message);

 private:
  void* context_;
  std::uint64_t number_;
};

// In a time that does not depend on where they differ.
bool AreEqual(const Tag& a, const Tag& b);

}  // namespace megascale::m2n
