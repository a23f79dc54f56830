#include "program/expert_stage.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "data.hpp"
#include "memory_weights.hpp"
#include "runtime/failure.hpp"
#include "variants.hpp"

// The expert stage as a whole, from weights in memory.
namespace megascale::testing {
namespace {

struct Experts {
  std::size_t layers, experts, hidden, width;
  MemoryWeights weights;
  // [layers][experts] gate, up, down.
  std::vector<MemoryWeights::Matrix> gates, ups, downs;

  Experts(Random& random, std::size_t hidden, std::size_t width)
      : layers(2), experts(random.Between(1, 5)), hidden(hidden), width(width) {
    for (std::size_t i = 0; i < layers * experts; ++i) {
      gates.push_back(weights.Add(random, width, hidden));
      ups.push_back(weights.Add(random, width, hidden));
      downs.push_back(weights.Add(random, hidden, width));
    }
  }

  ExpertProgram program(std::size_t rows_max) const {
    std::vector<std::size_t> all(experts);
    for (std::size_t e = 0; e < experts; ++e) all[e] = e;
    return program(rows_max, Residents(layers, all));
  }
  // [layers] of a stage with some of the experts.
  using Residents = std::vector<std::vector<std::size_t>>;
  ExpertProgram program(std::size_t rows_max, const Residents& resident) const {
    ExpertProgram program{{}, resident, experts, layers, hidden, width, rows_max};
    for (std::size_t layer = 0; layer < layers; ++layer) {
      for (const std::size_t e : resident[layer]) {
        for (MatrixSource& source : matrices(layer, e)) program.matrices.push_back(source);
      }
    }
    return program;
  }
  std::vector<MatrixSource> matrices(std::size_t layer, std::size_t expert) const {
    const std::size_t i = layer * experts + expert;
    return {{{weights.source(gates[i]), weights.source(ups[i])}}, {{weights.source(downs[i])}}};
  }
};

// Rows in order of their expert, as a transport delivers them.
struct Rows {
  std::vector<std::int32_t> per_expert;
  std::vector<bf16> hidden;  // [rows, hidden]
  std::size_t count = 0;

  std::size_t ExpertOf(std::size_t row) const {
    std::size_t expert = 0;
    for (std::size_t end = 0;; ++expert) {
      end += static_cast<std::size_t>(per_expert[expert]);
      if (row < end) return expert;
    }
  }
};

Rows RandomRows(Random& random, const Experts& model) {
  Rows rows;
  rows.per_expert.resize(model.experts);
  // All experts may be empty but one, or take what they get.
  const bool one = random.Coin();
  const std::size_t only = random.Below(model.experts);
  for (std::size_t e = 0; e < model.experts; ++e) {
    if (one && e != only) continue;
    const std::size_t count = random.OneOf(kRowCounts);
    rows.per_expert[e] = static_cast<std::int32_t>(count);
    rows.count += count;
  }
  rows.hidden = RandomBf16(random, rows.count * model.hidden);
  return rows;
}

constexpr std::size_t kRowsMax = 500;

class Stage {
 public:
  Stage(const Experts& model, const KernelTable& kernels, int threads)
      : model_(model),
        stage_(std::make_shared<ThreadPool>(threads), kernels, model.program(kRowsMax)) {}

  Stage(const Experts& model, const KernelTable& kernels, int threads,
        const Experts::Residents& resident)
      : model_(model),
        stage_(std::make_shared<ThreadPool>(threads), kernels, model.program(kRowsMax, resident)) {}

  ExpertStage& stage() { return stage_; }

  // Rows come from two slots, backwards in memory; answers in the order of rows.
  std::vector<bf16> Run(std::int64_t layer, const Rows& rows) {
    const std::size_t width = model_.hidden, slot_rows = rows.count / 2 + 1;
    std::vector<bf16> hidden[2], answers[2];
    std::vector<ExpertSlotMemory> slots;
    for (int slot = 0; slot < 2; ++slot) {
      hidden[slot].assign(slot_rows * width, 0);
      answers[slot].assign(slot_rows * width, 0);
      slots.push_back({hidden[slot].data(), slot_rows, answers[slot].data(), slot_rows});
    }
    std::vector<std::int32_t> slot_index(rows.count), hidden_row(rows.count),
        answer_row(rows.count);
    for (std::size_t row = 0; row < rows.count; ++row) {
      const std::size_t at = slot_rows - 1 - row / 2;
      slot_index[row] = static_cast<std::int32_t>(row % 2);
      hidden_row[row] = static_cast<std::int32_t>(at);
      answer_row[row] = static_cast<std::int32_t>(row / 2);
      std::copy_n(rows.hidden.data() + row * width, width, hidden[row % 2].data() + at * width);
    }
    stage_.BindSlots(slots);
    stage_.Run(layer, {static_cast<std::int64_t>(rows.count),
                       {rows.per_expert.data(), rows.per_expert.size()},
                       {slot_index.data(), rows.count},
                       {hidden_row.data(), rows.count},
                       {answer_row.data(), rows.count}});
    std::vector<bf16> found(rows.count * width);
    for (std::size_t row = 0; row < rows.count; ++row) {
      std::copy_n(answers[row % 2].data() + row / 2 * width, width, found.data() + row * width);
    }
    return found;
  }

 private:
  const Experts& model_;
  ExpertStage stage_;
};

// down(silu(gate · x) ⊙ up · x) in double precision, the inner values rounded to bf16 as the stage
// keeps them.
std::vector<double> Answer(const Experts& model, std::size_t matrix, const bf16* x) {
  const auto hidden = [&](std::size_t k) -> double { return Bf16ToFloat(x[k]); };
  std::vector<double> inner(model.width);
  for (std::size_t j = 0; j < model.width; ++j) {
    double gate = 0, up = 0;
    for (std::size_t k = 0; k < model.hidden; ++k) {
      gate += model.weights.At(model.gates[matrix], j, k) * hidden(k);
      up += model.weights.At(model.ups[matrix], j, k) * hidden(k);
    }
    const double value = gate / (1.0 + std::exp(-gate)) * up;
    inner[j] = Bf16ToFloat(FloatToBf16(static_cast<float>(value)));
  }
  std::vector<double> answer(model.hidden, 0.0);
  for (std::size_t j = 0; j < model.hidden; ++j) {
    for (std::size_t k = 0; k < model.width; ++k) {
      answer[j] += model.weights.At(model.downs[matrix], j, k) * inner[k];
    }
  }
  return answer;
}

const Test right{
    "experts answer as in double precision, on every variant", 12, [](Random& random) {
      const Experts model(random, random.OneOf(kWidths), random.OneOf(kWidths));
      const Rows rows = RandomRows(random, model);
      const std::size_t layer = random.Below(model.layers);
      std::vector<std::vector<double>> expected;
      double largest = 0;
      for (std::size_t row = 0; row < rows.count; ++row) {
        const std::size_t matrix = layer * model.experts + rows.ExpertOf(row);
        expected.push_back(Answer(model, matrix, rows.hidden.data() + row * model.hidden));
        for (const double value : expected.back()) largest = std::fmax(largest, std::fabs(value));
      }
      for (const KernelTable& kernels : Variants()) {
        Stage stage(model, kernels, static_cast<int>(random.Between(1, 4)));
        const std::vector<bf16> found = stage.Run(static_cast<std::int64_t>(layer), rows);
        for (std::size_t i = 0; i < found.size(); ++i) {
          // An inner value may round to the other side: half a step of bf16 of one in many.
          const double value = expected[i / model.hidden][i % model.hidden];
          RequireNear(Bf16ToFloat(found[i]), value, Bf16Rounding(value) + largest * 0x1p-9,
                      std::string(kernels.isa) + ", element " + std::to_string(i));
        }
      }
    }};

const Test alone{
    "an expert's row does not depend on its batch, on 1 to 4 threads", 8, [](Random& random) {
      // Wide enough that every thread has a share.
      const Experts model(random, 96 + random.Below(80), 100 + random.Below(200));
      const Rows rows = RandomRows(random, model);
      for (const KernelTable& kernels : Variants()) {
        Stage single(model, kernels, 1);
        const std::vector<bf16> expected = single.Run(1, rows);
        for (int threads = 2; threads <= 4; ++threads) {
          Stage shared(model, kernels, threads);
          RequireSameBits(shared.Run(1, rows), expected, kernels.isa);
        }
        for (int i = 0; i < 4 && rows.count > 0; ++i) {
          const std::size_t row = random.Below(rows.count);
          const auto first = static_cast<std::ptrdiff_t>(row * model.hidden);
          const auto last = first + static_cast<std::ptrdiff_t>(model.hidden);
          Rows own{std::vector<std::int32_t>(model.experts, 0),
                   {rows.hidden.begin() + first, rows.hidden.begin() + last},
                   1};
          own.per_expert[rows.ExpertOf(row)] = 1;
          RequireSameBits(single.Run(1, own), {expected.begin() + first, expected.begin() + last},
                          kernels.isa);
        }
      }
    }};

const Test coming_and_going{
    "experts that come later answer to the bit as those of the start, and none that is gone", 8,
    [](Random& random) {
      const Experts model(random, random.OneOf(kWidths), random.OneOf(kWidths));
      for (const KernelTable& kernels : Variants()) {
        Stage all(model, kernels, 2);
        Experts::Residents resident(model.layers);
        for (std::vector<std::size_t>& of_layer : resident) {
          for (std::size_t e = 0; e < model.experts; ++e) {
            if (random.Coin()) of_layer.push_back(e);
          }
        }
        Stage some(model, kernels, 2, resident);
        for (int round = 0; round < 4; ++round) {
          const Rows rows = RandomRows(random, model);
          for (std::size_t e = 0; e < model.experts; ++e) {
            const auto id = static_cast<std::int64_t>(e);
            for (std::size_t layer = 0; layer < model.layers; ++layer) {
              const auto at = static_cast<std::int64_t>(layer);
              if (random.Coin()) some.stage().Drop(at, id);
              if (rows.per_expert[e] == 0) continue;
              some.stage().Load(at, id, model.matrices(layer, e));
              Require(some.stage().Load(at, id, model.matrices(layer, e)) == 0, "loaded twice");
            }
          }
          const auto layer = static_cast<std::int64_t>(random.Below(model.layers));
          RequireSameBits(some.Run(layer, rows), all.Run(layer, rows), kernels.isa);
          for (std::size_t e = 0; e < model.experts; ++e) {
            if (rows.per_expert[e] == 0) continue;
            some.stage().Drop(layer, static_cast<std::int64_t>(e));
            RequireThrows<Failure>("which is not here", [&] { some.Run(layer, rows); });
            break;
          }
        }
        std::size_t dropped = 0;
        const std::size_t before = some.stage().weight_bytes();
        for (std::size_t i = 0; i < model.layers * model.experts; ++i) {
          dropped += some.stage().Drop(static_cast<std::int64_t>(i / model.experts),
                                       static_cast<std::int64_t>(i % model.experts));
        }
        Require(dropped == before && some.stage().weight_bytes() == 0, "bytes are accounted for");
      }
    }};

const Test refusals{
    "the expert stage refuses rows that are not there", [](Random& random) {
      const Experts model(random, 8, 8);
      Stage stage(model, Variant("scalar"), 1);
      const auto run = [&](std::int64_t layer, std::int32_t slot, std::int32_t row,
                           std::int32_t count) {
        std::vector<bf16> memory(8 * 4);
        stage.stage().BindSlots({{memory.data(), 2, memory.data() + 16, 2}});
        std::vector<std::int32_t> per_expert(model.experts, 0);
        per_expert[0] = count;
        stage.stage().Run(
            layer, {1, {per_expert.data(), per_expert.size()}, {&slot, 1}, {&row, 1}, {&row, 1}});
      };
      run(0, 0, 1, 1);
      RequireThrows<Failure>("Layer 2", [&] { run(2, 0, 0, 1); });
      RequireThrows<Failure>("Layer -1", [&] { run(-1, 0, 0, 1); });
      RequireThrows<Failure>("slotIndex[0] is 1", [&] { run(0, 1, 0, 1); });
      RequireThrows<Failure>("hiddenRow[0] is 2", [&] { run(0, 0, 2, 1); });
      RequireThrows<Failure>("hiddenRow[0] is -1", [&] { run(0, 0, -1, 1); });
      RequireThrows<Failure>("adds up to 2", [&] { run(0, 0, 0, 2); });
      RequireThrows<Failure>("Layer 2", [&] { stage.stage().Load(2, 0, model.matrices(0, 0)); });
      RequireThrows<Failure>("Expert -1", [&] { stage.stage().Load(0, -1, model.matrices(0, 0)); });
      RequireThrows<Failure>("is not among", [&] { stage.stage().Drop(0, 99); });
      RequireThrows<Failure>("Layer 2", [&] { stage.stage().Drop(2, 0); });
    }};

}  // namespace
}  // namespace megascale::testing
