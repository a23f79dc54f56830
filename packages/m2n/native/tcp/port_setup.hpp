#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "protocol/segment_layout.hpp"
#include "tcp/messages/authenticator.hpp"
#include "tcp/messages/message.hpp"
#include "tcp/socket.hpp"

namespace megascale::m2n {

using Nonce = std::array<std::int32_t, 2>;

// One port of the deployment: PortContext of src/shared-memory.ts.
struct PortSetup {
  bool is_attention = false;
  std::int32_t rank = 0;
  PortShape shape;
  std::int32_t layout_hash = 0;
  Nonce nonce{};
  bool is_authenticated = false;
  bool combines_at_experts = false;
  // A peer that was not heard of for so long is lost. Peers at rest send a status four times as
  // often.
  std::int64_t silence_us = 0;
  // From connecting to the welcome.
  std::int64_t handshake_us = 0;
  Endpoint listen;  // Expert ranks.
  SocketOptions socket;
};

// A rank of the other pool, as the rendezvous made it known.
struct PeerSetup {
  std::int32_t rank = 0;
  Nonce nonce{};
  std::optional<PairKeys> keys;
  Endpoint endpoint;  // Of expert ranks.
};

// What the hello of this pair says.
inline Greeting GreetingOf(const PortSetup& port, const PeerSetup& peer) {
  return Greeting{.attention_rank = port.is_attention ? port.rank : peer.rank,
                  .expert_rank = port.is_attention ? peer.rank : port.rank,
                  .attention_nonce = port.is_attention ? port.nonce : peer.nonce,
                  .expert_nonce = port.is_attention ? peer.nonce : port.nonce,
                  .layout_hash = port.layout_hash,
                  .authenticated = port.is_authenticated,
                  .combines_at_experts = port.combines_at_experts};
}

}  // namespace megascale::m2n
