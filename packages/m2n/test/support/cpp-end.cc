// One C++ end of a deployment of two: cpp-end attention|expert LAYOUT_HASH. Its peer may be a port
// in TypeScript: cpp-ends.test.ts. It prints its place as one line and reads its peer's the same
// way. The expert end doubles every number; the attention end checks that.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "port/attention_end.hpp"
#include "port/expert_end.hpp"

namespace {

using namespace megascale::m2n;  // NOLINT: a program of one file.

constexpr int kSteps = 200;

// smallOptions of one-thread.ts.
EndOptions OptionsOf(std::int32_t layout_hash) {
  return EndOptions{.shape = {.attention_worker_count = 1,
                              .expert_worker_count = 1,
                              .layer_count = 2,
                              .hidden_size = 4,
                              .top_k = 1,
                              .element_bytes = 4,
                              .tokens_per_slot_max = 3,
                              .slot_count = 2,
                              .expert_count = 2},
                    .rank_of_expert = {0, 0},
                    .layout_hash = layout_hash};
}

SegmentPlace Trade(const SegmentPlace& own) {
  std::cout << own.owner.process_id << ' ' << own.owner.thread_id << ' ' << own.owner.start_ticks
            << ' ' << own.fd << ' ' << own.nonce[0] << ' ' << own.nonce[1] << std::endl;
  SegmentPlace theirs;
  std::cin >> theirs.owner.process_id >> theirs.owner.thread_id >> theirs.owner.start_ticks >>
      theirs.fd >> theirs.nonce[0] >> theirs.nonce[1];
  return theirs;
}

void ServeDoubles(const EndOptions& options) {
  ExpertEnd end(options);
  end.Join({Trade(end.place())});
  ReceivedFrame received;
  for (;;) {
    const Received result = end.Receive(&received, 1'000'000);
    if (result == Received::kEnded) return;
    if (result == Received::kNothing) continue;
    for (const ReceivedRow& row : received.rows) {
      float numbers[4];
      std::memcpy(numbers, row.hidden, sizeof numbers);
      for (float& number : numbers) number *= 2;
      std::memcpy(row.answer, numbers, sizeof numbers);
    }
    end.Reply(received);
  }
}

void AskDoubles(const EndOptions& options) {
  AttentionEnd end(options);
  end.Join({Trade(end.place())});
  for (std::int64_t step = 1; step <= kSteps; ++step) {
    for (std::int32_t layer = 0; layer < 2; ++layer) {
      for (std::int32_t slot = 0; slot < 2; ++slot) {
        const AttentionEndSlot memory = end.slot(slot);
        std::vector<float> numbers;
        for (int i = 0; i < 12; ++i) numbers.push_back(static_cast<float>(step * 100 + slot * 20 + i));
        std::memcpy(memory.hidden, numbers.data(), 12 * sizeof(float));
        for (int token = 0; token < 3; ++token) memory.expert_ids[token] = token % 2;
        const bool last = layer == 1 && slot == 1;
        end.Dispatch({step, layer, slot},
                     last ? Position{step + 1, 0, 0} : Position{step, layer + slot, 1 - slot}, 3);
      }
      for (std::int32_t slot = 0; slot < 2; ++slot) {
        end.Combine(slot);
        float answers[12];
        std::memcpy(answers, end.slot(slot).answers, sizeof answers);
        for (int i = 0; i < 12; ++i) {
          if (answers[i] == static_cast<float>(2 * (step * 100 + slot * 20 + i))) continue;
          std::cerr << "step " << step << ": a wrong answer" << std::endl;
          std::exit(1);
        }
      }
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return 2;
  const EndOptions options = OptionsOf(std::atoi(arguments[2]));
  try {
    if (std::string(arguments[1]) == "expert") {
      ServeDoubles(options);
    } else {
      AskDoubles(options);
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << std::endl;
    return 1;
  }
  return 0;
}
