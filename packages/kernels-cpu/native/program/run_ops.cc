#include "program/attention_stage.hpp"

// Which op of a program runs when, and where its values lie.
namespace megascale {
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
    if (ops[i].code != OpCode::kLinear) {
      RunOp(ops[i++], micro_batch);
      continue;
    }
    // Linears of one input (queries, keys, values; gate and up) are one fork and join.
    std::size_t count = 1;
    while (i + count < ops.size() && ops[i + count].code == OpCode::kLinear &&
           ops[i + count].x == ops[i].x) {
      ++count;
    }
    RunLinears(&ops[i], count, micro_batch);
    i += count;
  }
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
