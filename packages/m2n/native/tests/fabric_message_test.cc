#include "fabric/message.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include "testing.hpp"

// Which bytes of a slot a message of the fabric brings.
namespace megascale::m2n::fabric {
namespace {

using testing::Random;
using testing::Require;
using testing::Test;

// 'start+length' of each part, in rows.
std::string RowsOf(Message message, const Span& rows, std::int64_t row_bytes) {
  std::string text;
  for (Span part; message.Next(&part);) {
    const std::int64_t start = part.byte_offset - rows.byte_offset;
    text += std::to_string(start / row_bytes) + "+" + std::to_string(part.byte_length / row_bytes);
    text += " ";
  }
  return text;
}

void RequireReply(const std::vector<std::int32_t>& ranks, bool sums_answers,
                  const std::string& expected) {
  const PortShape shape{.hidden_size = 4, .top_k = 3, .element_bytes = 2};
  SlotSpans slot;
  slot.answers = {.byte_offset = 640, .byte_length = 8 * 6};
  const auto tokens = static_cast<std::int64_t>(ranks.size()) / shape.top_k;
  const auto message = Message::OfReply(shape, slot, tokens, ranks.data(), 1, sums_answers);
  const std::string found = RowsOf(message, slot.answers, shape.RowBytes());
  Require(found == expected, "brought " + found + "instead of " + expected);
}

const Test brings_answers{"a reply brings the answers of its rank, in runs", [](Random&) {
                            RequireReply({1, 1, 0, 0, 1, 1}, false, "0+2 4+2 ");
                            RequireReply({0, 1, 1, 1, -1, 0}, false, "1+3 ");
                            RequireReply({0, 0, -1}, false, "");
                          }};

const Test brings_sums{"a reply of sums brings the first answer of each token", [](Random&) {
                         RequireReply({1, 1, 0, 0, 1, 1}, true, "0+1 4+1 ");
                         RequireReply({0, 0, 1, 1, 1, 1}, true, "2+2 ");
                         RequireReply({0, 0, -1}, true, "");
                       }};

}  // namespace
}  // namespace megascale::m2n::fabric
