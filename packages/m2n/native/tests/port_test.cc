#if defined(__linux__)

#include <cstdint>
#include <cstring>
#include <future>
#include <string>
#include <vector>

#include "heap_count.hpp"
#include "port/attention_end.hpp"
#include "port/expert_end.hpp"
#include "port/port_error.hpp"
#include "protocol/allocation_count.hpp"
#include "testing.hpp"

// The C++ ends of the protocol, each in its own thread.
namespace megascale::m2n {
namespace {

using testing::HeapAllocations;
using testing::Random;
using testing::Require;
using testing::RequireThrows;
using testing::Test;

EndOptions OptionsOf(std::int64_t attention, std::int64_t experts) {
  EndOptions options{.shape = {.attention_worker_count = attention,
                               .expert_worker_count = experts,
                               .layer_count = 3,
                               .hidden_size = 8,
                               .top_k = 2,
                               .element_bytes = 4,
                               .tokens_per_slot_max = 5,
                               .slot_count = 2,
                               .expert_count = 2 * experts},
                     .layout_hash = 42};
  for (std::int32_t id = 0; id < 2 * experts; ++id) options.rank_of_expert.push_back(id / 2);
  return options;
}

EndOptions Ranked(EndOptions options, std::size_t rank) {
  options.rank = static_cast<std::int32_t>(rank);
  return options;
}

// How threads tell each other their places.
struct Meeting {
  explicit Meeting(const EndOptions& options)
      : attention(static_cast<std::size_t>(options.shape.attention_worker_count)),
        experts(static_cast<std::size_t>(options.shape.expert_worker_count)) {}

  static std::vector<SegmentPlace> All(std::vector<std::promise<SegmentPlace>>& places,
                                       std::vector<std::shared_future<SegmentPlace>>& known) {
    std::vector<SegmentPlace> all;
    for (std::size_t rank = 0; rank < places.size(); ++rank) all.push_back(known[rank].get());
    return all;
  }

  std::vector<std::promise<SegmentPlace>> attention, experts;
  std::vector<std::shared_future<SegmentPlace>> Futures(
      std::vector<std::promise<SegmentPlace>>& promises) {
    std::vector<std::shared_future<SegmentPlace>> futures;
    for (auto& promise : promises) futures.push_back(promise.get_future().share());
    return futures;
  }
  std::vector<std::shared_future<SegmentPlace>> of_attention = Futures(attention);
  std::vector<std::shared_future<SegmentPlace>> of_experts = Futures(experts);
};

// Answers the sum of a row's number and its expert's id.
void ServeSums(Meeting& meeting, const EndOptions& options) {
  ExpertEnd end(options);
  meeting.experts[static_cast<std::size_t>(options.rank)].set_value(end.place());
  end.Join(Meeting::All(meeting.attention, meeting.of_attention));
  ReceivedFrame received;
  for (;;) {
    const Received result = end.Receive(&received, 1'000'000);
    if (result == Received::kEnded) return;
    if (result == Received::kNothing) continue;
    for (const ReceivedRow& row : received.rows) {
      float value;
      std::memcpy(&value, row.hidden, sizeof value);
      value += static_cast<float>(row.expert_id);
      std::memcpy(row.answer, &value, sizeof value);
    }
    end.Reply(received);
  }
}

void RunSteps(Meeting& meeting, const EndOptions& options, std::uint64_t seed) {
  AttentionEnd end(options);
  meeting.attention[static_cast<std::size_t>(options.rank)].set_value(end.place());
  end.Join(Meeting::All(meeting.experts, meeting.of_experts));
  Random random(seed);
  const PortShape& shape = options.shape;
  for (std::int64_t step = 1; step <= 40; ++step) {
    for (std::int32_t layer = 0; layer < shape.layer_count; ++layer) {
      std::int32_t tokens[2];
      for (std::int32_t slot = 0; slot < 2; ++slot) {
        tokens[slot] = static_cast<std::int32_t>(random.Between(0, 5));
        const AttentionEndSlot memory = end.slot(slot);
        for (std::int32_t token = 0; token < tokens[slot]; ++token) {
          const auto value = static_cast<float>(1000 * step + 10 * token + options.rank);
          std::memcpy(memory.hidden + token * shape.RowBytes(), &value, sizeof value);
        }
        for (std::int64_t route = 0; route < tokens[slot] * shape.top_k; ++route) {
          memory.expert_ids[route] = static_cast<std::int32_t>(random.Between(
                                         0, static_cast<std::size_t>(shape.expert_count))) -
                                     1;
        }
        const bool last = slot == 1 && layer + 1 == shape.layer_count;
        const Position next = last        ? Position{step + 1, 0, 0}
                              : slot == 1 ? Position{step, layer + 1, 0}
                                          : Position{step, layer, 1};
        end.Dispatch({step, layer, slot}, next, tokens[slot]);
      }
      for (std::int32_t slot = 0; slot < 2; ++slot) {
        end.Combine(slot);
        const AttentionEndSlot memory = end.slot(slot);
        for (std::int64_t route = 0; route < tokens[slot] * shape.top_k; ++route) {
          const std::int32_t id = memory.expert_ids[route];
          if (id < 0) continue;
          float hidden, answer;
          std::memcpy(&hidden, memory.hidden + route / shape.top_k * shape.RowBytes(),
                      sizeof hidden);
          std::memcpy(&answer, memory.answers + route * shape.RowBytes(), sizeof answer);
          Require(answer == hidden + static_cast<float>(id), "a wrong answer");
        }
      }
    }
    if (random.Below(4) == 0) end.Park();
  }
}

void PlayAll(const EndOptions& options, std::uint64_t seed) {
  Meeting meeting(options);
  std::vector<std::future<void>> ends;
  for (std::size_t rank = 0; rank < meeting.experts.size(); ++rank) {
    ends.push_back(
        std::async(std::launch::async, [&, rank] { ServeSums(meeting, Ranked(options, rank)); }));
  }
  for (std::size_t rank = 0; rank < meeting.attention.size(); ++rank) {
    ends.push_back(std::async(
        std::launch::async, [&, rank] { RunSteps(meeting, Ranked(options, rank), seed + rank); }));
  }
  for (auto& end : ends) end.get();
}

const Test pair{"one rank of each gets every answer",
                [](Random& random) { PlayAll(OptionsOf(1, 1), random.Next()); }};
const Test many{"two and three ranks get every answer, asleep at once", [](Random& random) {
                  EndOptions options = OptionsOf(2, 3);
                  options.spin_us = 0;
                  PlayAll(options, random.Next());
                }};

// A joined pair whose expert end lives in the other thread as long as `serve` runs.
template <typename Serve, typename Use>
void WithPair(const EndOptions& options, const Serve& serve, const Use& use) {
  Meeting meeting(options);
  auto other = std::async(std::launch::async, [&] {
    ExpertEnd end(options);
    meeting.experts[0].set_value(end.place());
    end.Join(Meeting::All(meeting.attention, meeting.of_attention));
    serve(end);
  });
  {
    AttentionEnd end(options);
    meeting.attention[0].set_value(end.place());
    end.Join(Meeting::All(meeting.experts, meeting.of_experts));
    use(end);
  }
  other.get();
}

void DispatchOne(AttentionEnd& end) {
  end.slot(0).expert_ids[0] = end.slot(0).expert_ids[1] = 0;
  end.Dispatch({1, 0, 0}, {1, 1, 0}, 1);
}

const Test silent{"an expert rank that does not answer is a timeout", [](Random&) {
                    EndOptions options = OptionsOf(1, 1);
                    options.timeout_us = 2'000'000;  // Of joining too.
                    WithPair(
                        options,
                        [](ExpertEnd& end) {
                          ReceivedFrame received;
                          while (end.Receive(&received, 1'000'000) != Received::kEnded) {
                          }
                        },
                        [&](AttentionEnd& end) {
                          DispatchOne(end);
                          RequireThrows<PortError>(
                              "attention rank 0 at layer 0, micro-batch 0 waited ",
                              [&] { end.Combine(0); });
                        });
                  }};

const Test closed{"an expert rank that closes without an answer is an end", [](Random&) {
                    WithPair(
                        OptionsOf(1, 1),
                        [](ExpertEnd& end) {
                          ReceivedFrame received;
                          while (end.Receive(&received, 1'000'000) == Received::kNothing) {
                          }
                        },
                        [](AttentionEnd& end) {
                          DispatchOne(end);
                          RequireThrows<PortError>("but it closed", [&] { end.Combine(0); });
                        });
                  }};

const Test frugal{"joined ends allocate nothing", [](Random&) {
                    WithPair(
                        OptionsOf(1, 1),
                        [](ExpertEnd& end) {
                          ReceivedFrame received;
                          for (;;) {
                            const Received result = end.Receive(&received, 1'000'000);
                            if (result == Received::kEnded) return;
                            if (result == Received::kFrame) end.Reply(received);
                          }
                        },
                        [](AttentionEnd& end) {
                          end.slot(0).expert_ids[0] = end.slot(0).expert_ids[1] = 0;
                          std::int64_t heap = 0, segments = 0;
                          for (std::int64_t step = 1; step <= 1001; ++step) {
                            end.Dispatch({step, 0, 0}, {step, 1, 0}, 1);
                            end.Combine(0);
                            // The first frame sizes the lists.
                            if (step > 1) continue;
                            heap = HeapAllocations();
                            segments = AllocationCount();
                          }
                          // Before the texts of what is required, which are on the heap.
                          heap = HeapAllocations() - heap;
                          segments = AllocationCount() - segments;
                          Require(heap == 0, "the heap was used");
                          Require(segments == 0, "memory was mapped");
                        });
                  }};

const Test wrong{"what a slot cannot hold is refused before anything is sent", [](Random&) {
                   WithPair(
                       OptionsOf(1, 1),
                       [](ExpertEnd& end) {
                         ReceivedFrame received;
                         Received result;
                         while ((result = end.Receive(&received, 1'000'000)) != Received::kEnded) {
                           Require(result == Received::kNothing, "something was sent");
                         }
                       },
                       [](AttentionEnd& end) {
                         RequireThrows<PortError>("no room for 6",
                                                  [&] { end.Dispatch({1, 0, 0}, {1, 1, 0}, 6); });
                         RequireThrows<PortError>("in slot 2",
                                                  [&] { end.Dispatch({1, 0, 2}, {1, 1, 0}, 1); });
                         end.slot(0).expert_ids[0] = 2;
                         RequireThrows<PortError>("routed to expert 2",
                                                  [&] { end.Dispatch({1, 0, 0}, {1, 1, 0}, 1); });
                       });
                 }};

const Test stranger{"a segment of other options is refused", [](Random&) {
                      ExpertEnd expert(OptionsOf(1, 1));
                      EndOptions options = OptionsOf(1, 1);
                      options.layout_hash = 43;
                      AttentionEnd attention(options);
                      RequireThrows<PortError>("is not its segment",
                                               [&] { attention.Join({expert.place()}); });
                    }};

}  // namespace
}  // namespace megascale::m2n

#endif  // __linux__
