#include "program/attention_stage.hpp"
#include "program/op_work.hpp"

// Which op of a program runs when, where its values lie, and what it costs.
namespace megascale {
namespace {

ProfiledOp Kind(OpCode code) {
  switch (code) {
    case OpCode::kEmbed:
      return ProfiledOp::kEmbed;
    case OpCode::kRmsNorm:
      return ProfiledOp::kRmsNorm;
    case OpCode::kLinear:
      return ProfiledOp::kLinear;
    case OpCode::kRope:
      return ProfiledOp::kRope;
    case OpCode::kKvAppend:
      return ProfiledOp::kKvAppend;
    case OpCode::kPagedAttention:
      return ProfiledOp::kPagedAttention;
    case OpCode::kAddTo:
      return ProfiledOp::kAddTo;
    case OpCode::kSiluMultiply:
      return ProfiledOp::kSwiglu;
    case OpCode::kRouter:
      return ProfiledOp::kRouter;
    case OpCode::kLmHead:
      return ProfiledOp::kLmHead;
  }
  return ProfiledOp::kEmbed;
}

}  // namespace

void* AttentionStage::Address(int index, std::size_t micro_batch) {
  const Value& v = value(index);
  switch (v.kind) {
    case ValueKind::kScratch:
      return scratch_[v.buffer].data();
    case ValueKind::kState:
      return batches_[micro_batch].states[v.buffer].data();
    case ValueKind::kMessage:
      return slots_[micro_batch].hidden;
  }
  return nullptr;
}

void AttentionStage::RunList(std::size_t list, std::size_t micro_batch) {
  const std::vector<Op>& ops = program_.lists[list];
  for (std::size_t i = 0; i < ops.size();) {
    // Linears of one input (queries, keys, values; gate and up) are one fork and join.
    std::size_t count = 1;
    while (ops[i].code == OpCode::kLinear && i + count < ops.size() &&
           ops[i + count].code == OpCode::kLinear && ops[i + count].x == ops[i].x) {
      ++count;
    }
    profile_.Measure(
        Kind(ops[i].code), [&] { RunTogether(&ops[i], count, micro_batch); },
        [&] { return Work(&ops[i], count, micro_batch); });
    i += count;
  }
}

void AttentionStage::RunTogether(const Op* first, std::size_t count, std::size_t micro_batch) {
  if (first->code == OpCode::kLinear) return RunLinears(first, count, micro_batch);
  RunOp(*first, micro_batch);
}

OpWork AttentionStage::Work(const Op* first, std::size_t count, std::size_t micro_batch) const {
  OpWork work;
  for (const Op* op = first; op != first + count; ++op) {
    const auto weight = static_cast<std::size_t>(op->weight);
    const auto table = static_cast<std::size_t>(op->table);
    OpSizes sizes;
    if (op->x >= 0) sizes.in_width = value(op->x).width;
    if (op->out >= 0) sizes.out_width = value(op->out).width;
    if (op->code == OpCode::kLinear || op->code == OpCode::kRouter || op->code == OpCode::kLmHead) {
      sizes.matrix = &weights_.matrix(weight);
    }
    if (op->code == OpCode::kKvAppend || op->code == OpCode::kPagedAttention) {
      sizes.kv = &kv_caches_[table].layout;
    }
    if (op->code == OpCode::kEmbed) sizes.table_row_bytes = tables_[weight].row_bytes();
    work += WorkOf(*op, batches_[micro_batch].arrays, sizes);
  }
  return work;
}

void AttentionStage::RunOp(const Op& op, std::size_t micro_batch) {
  switch (op.code) {
    case OpCode::kEmbed:
      return RunEmbed(op, micro_batch);
    case OpCode::kRmsNorm:
      return RunRmsNorm(op, micro_batch);
    case OpCode::kLinear:
      return RunLinears(&op, 1, micro_batch);
    case OpCode::kRope:
      return RunRope(op, micro_batch);
    case OpCode::kKvAppend:
      return RunKvAppend(op, micro_batch);
    case OpCode::kPagedAttention:
      return RunPagedAttention(op, micro_batch);
    case OpCode::kAddTo:
      return RunAddTo(op, micro_batch);
    case OpCode::kSiluMultiply:
      return RunSiluMultiply(op, micro_batch);
    case OpCode::kRouter:
      return RunRouter(op, micro_batch);
    case OpCode::kLmHead:
      return RunLmHead(op, micro_batch);
  }
}

}  // namespace megascale
