#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "data.hpp"
#include "memory_weights.hpp"
#include "program/attention_stage.hpp"

namespace megascale::testing {

// The attention stage of a small model, written down as src/compile.ts would: embedding; two layers
// of norm, queries, keys, values, rotation, attention, output, norm and router; norm and head.
struct AttentionModel {
  std::size_t hidden, heads, kv_heads, head_size, window, experts, top_k;
  static constexpr std::size_t kLayers = 2, kVocabulary = 40;

  explicit AttentionModel(Random& random);
  AttentionProgram program() const;

 private:
  struct Layer {
    MemoryWeights::Matrix attention_norm, query, key, value, output, expert_norm, router;
  };
  MemoryWeights weights_;
  MemoryWeights::Matrix embedding_, last_norm_, head_;
  std::vector<Layer> layers_;
};

// Tokens of one sequence from `position` on, and where its pages are.
struct SequencePart {
  std::vector<std::int32_t> tokens;
  std::size_t position = 0;
  std::vector<std::int32_t> pages;
};

// A stage with its slot. Experts are stood in for by a fixed function of each row, so that a run
// needs no expert worker.
class AttentionRun {
 public:
  static constexpr std::size_t kPages = 120, kPageSize = 16, kTokensMax = 160;

  AttentionRun(const AttentionModel& model, const KernelTable& kernels, int threads,
               KvCacheDtype kv_dtype);

  // All layers over one micro-batch: logits [tokens, vocabulary] in the order of the parts.
  std::vector<float> Run(const std::vector<SequencePart>& parts);

 private:
  void Answer(std::size_t tokens);

  const AttentionModel& model_;
  AttentionStage stage_;
  std::vector<bf16> hidden_, answers_;
  std::vector<std::int32_t> expert_ids_;
  std::vector<float> routing_weights_;
};

}  // namespace megascale::testing
