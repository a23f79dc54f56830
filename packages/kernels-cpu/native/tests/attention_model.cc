#include "attention_model.hpp"

#include <algorithm>
#include <cmath>

namespace megascale::testing {
namespace {

// Values of the program, by number.
enum : int { kResidual, kMessage, kNormed, kQuery, kKey, kValue, kTurnedQuery, kTurnedKey };
enum : int { kAttended = kTurnedKey + 1, kProjected };

Op MakeOp(OpCode code, int x, int out) {
  Op op{};
  op.code = code;
  op.x = x;
  op.out = out;
  op.epsilon = 1e-5f;
  return op;
}

Op Norm(int x, int out, int vector) {
  Op op = MakeOp(OpCode::kRmsNorm, x, out);
  op.weight = vector;
  return op;
}

Op Linear(int x, int out, int matrix) {
  Op op = MakeOp(OpCode::kLinear, x, out);
  op.weight = matrix;
  return op;
}

Op Rope(int x, int out, std::size_t heads) {
  Op op = MakeOp(OpCode::kRope, x, out);
  op.table = 0;
  op.heads = heads;
  return op;
}

}  // namespace

AttentionModel::AttentionModel(Random& random) {
  const std::size_t head_sizes[] = {6, 16, 30, 32, 64};
  head_size = random.OneOf(head_sizes);
  kv_heads = random.Between(1, 2);
  heads = kv_heads * random.Between(1, 4);
  hidden = random.OneOf(kWidths);
  window = random.Coin() ? 0 : random.Between(1, 40);
  experts = random.Between(1, 20);
  top_k = random.Between(1, std::min<std::size_t>(experts, 3));
  embedding_ = weights_.Add(random, kVocabulary, hidden);
  for (std::size_t layer = 0; layer < kLayers; ++layer) {
    layers_.push_back({weights_.Add(random, 1, hidden),
                       weights_.Add(random, heads * head_size, hidden),
                       weights_.Add(random, kv_heads * head_size, hidden),
                       weights_.Add(random, kv_heads * head_size, hidden),
                       weights_.Add(random, hidden, heads * head_size),
                       weights_.Add(random, 1, hidden), weights_.Add(random, experts, hidden)});
  }
  last_norm_ = weights_.Add(random, 1, hidden);
  head_ = weights_.Add(random, kVocabulary, hidden);
}

AttentionProgram AttentionModel::program() const {
  AttentionProgram program{};
  const std::size_t query_width = heads * head_size, key_width = kv_heads * head_size;
  const auto scratch = [&](std::size_t width) {
    program.scratch_row_bytes.push_back(width * sizeof(bf16));
    program.values.push_back(
        {ValueKind::kScratch, false, width, program.scratch_row_bytes.size() - 1});
  };
  program.state_row_bytes = {hidden * sizeof(float)};
  program.values = {{ValueKind::kState, true, hidden, 0}, {ValueKind::kMessage, false, hidden, 0}};
  for (const std::size_t width :
       {hidden, query_width, key_width, key_width, query_width, key_width, query_width, hidden}) {
    scratch(width);
  }
  const auto matrix = [&](MemoryWeights::Matrix weight) {
    program.matrices.push_back({{weights_.source(weight)}});
    return static_cast<int>(program.matrices.size()) - 1;
  };
  const auto vector = [&](MemoryWeights::Matrix weight) {
    program.vectors.push_back(weights_.source(weight));
    return static_cast<int>(program.vectors.size()) - 1;
  };
  program.tables = {weights_.source(embedding_)};
  program.rotary_tables = {{head_size, 10000.0}};
  Op embed = MakeOp(OpCode::kEmbed, -1, kResidual);
  embed.weight = 0;
  program.lists.push_back({embed});
  for (const Layer& layer : layers_) {
    const auto cache = static_cast<int>(program.kv_caches.size());
    program.kv_caches.push_back({kv_heads, head_size});
    Op append = MakeOp(OpCode::kKvAppend, kTurnedKey, -1);
    append.y = kValue;
    append.table = cache;
    Op attend = MakeOp(OpCode::kPagedAttention, kTurnedQuery, kAttended);
    attend.table = cache;
    attend.heads = heads;
    attend.window = window;
    attend.scale = 1.0f / std::sqrt(static_cast<float>(head_size));
    Op add = MakeOp(OpCode::kAddTo, kProjected, -1);
    add.y = kResidual;
    Op router = MakeOp(OpCode::kRouter, kMessage, -1);
    router.weight = matrix(layer.router);
    router.experts = experts;
    router.top_k = top_k;
    router.renormalize = true;
    program.lists.push_back({Norm(kResidual, kNormed, vector(layer.attention_norm)),
                             Linear(kNormed, kQuery, matrix(layer.query)),
                             Linear(kNormed, kKey, matrix(layer.key)),
                             Linear(kNormed, kValue, matrix(layer.value)),
                             Rope(kQuery, kTurnedQuery, heads), Rope(kKey, kTurnedKey, kv_heads),
                             append, attend, Linear(kAttended, kProjected, matrix(layer.output)),
                             add, Norm(kResidual, kMessage, vector(layer.expert_norm)), router});
    program.residuals.push_back(kResidual);
    program.top_ks.push_back(top_k);
  }
  Op head = MakeOp(OpCode::kLmHead, kNormed, -1);
  head.weight = matrix(head_);
  program.lists.push_back({Norm(kResidual, kNormed, vector(last_norm_)), head});
  program.hidden_size = hidden;
  program.vocab_size = kVocabulary;
  program.top_k_max = top_k;
  return program;
}

AttentionRun::AttentionRun(const AttentionModel& model, const KernelTable& kernels, int threads,
                           KvCacheDtype kv_dtype)
    : model_(model),
      stage_(std::make_shared<ThreadPool>(threads), kernels, model.program(),
             {.kv_page_count = kPages,
              .kv_page_size = kPageSize,
              .micro_batch_count = 1,
              .tokens_max = kTokensMax,
              .positions_max = 2000,
              .kv_dtype = kv_dtype}),
      hidden_(kTokensMax * model.hidden),
      answers_(kTokensMax * model.top_k * model.hidden),
      expert_ids_(kTokensMax * model.top_k),
      routing_weights_(kTokensMax * model.top_k) {
  stage_.BindSlots(
      {{hidden_.data(), expert_ids_.data(), routing_weights_.data(), answers_.data()}});
}

std::vector<float> AttentionRun::Run(const std::vector<SequencePart>& parts) {
  std::vector<std::int32_t> tokens, positions, offsets{0}, pages, page_offsets{0}, rows;
  for (const SequencePart& part : parts) {
    for (std::size_t i = 0; i < part.tokens.size(); ++i) {
      rows.push_back(static_cast<std::int32_t>(tokens.size()));
      tokens.push_back(part.tokens[i]);
      positions.push_back(static_cast<std::int32_t>(part.position + i));
    }
    offsets.push_back(static_cast<std::int32_t>(tokens.size()));
    pages.insert(pages.end(), part.pages.begin(), part.pages.end());
    page_offsets.push_back(static_cast<std::int32_t>(pages.size()));
  }
  const auto view = [](const std::vector<std::int32_t>& list) {
    return Int32View{list.data(), list.size()};
  };
  stage_.Embed(0, {view(tokens), view(positions), view(offsets), view(pages), view(page_offsets),
                   view(rows)});
  for (std::size_t layer = 0; layer < AttentionModel::kLayers; ++layer) {
    stage_.Attend(static_cast<std::int64_t>(layer), 0);
    Answer(tokens.size());
    stage_.Combine(static_cast<std::int64_t>(layer), 0);
  }
  const std::size_t count = stage_.Logits(0) * AttentionModel::kVocabulary;
  const float* logits = stage_.logits()->as<float>();
  return {logits, logits + count};
}

// Every expert answers with the row turned by one element, a little smaller for a higher id.
void AttentionRun::Answer(std::size_t tokens) {
  const std::size_t width = model_.hidden;
  for (std::size_t i = 0; i < tokens * model_.top_k; ++i) {
    const bf16* row = hidden_.data() + i / model_.top_k * width;
    const float factor = 0.5f - 0.01f * static_cast<float>(expert_ids_[i]);
    for (std::size_t d = 0; d < width; ++d) {
      answers_[i * width + d] = FloatToBf16(Bf16ToFloat(row[(d + 1) % width]) * factor);
    }
  }
}

}  // namespace megascale::testing
