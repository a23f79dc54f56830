"""The Mixtral architecture, written for training on a CPU.

The arithmetic is that of Hugging Face's MixtralForCausalLM (export.py proves it on every export);
what differs is the bookkeeping: one matrix per projection group, and rows sorted by expert, so
that each expert is two matrix products a layer.
"""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class ModelConfig:
    vocab_size: int = 4096
    hidden_size: int = 256
    layer_count: int = 5
    head_count: int = 8
    kv_head_count: int = 2
    head_size: int = 32
    expert_count: int = 8
    top_k: int = 2
    expert_width: int = 256
    positions_max: int = 512
    rope_theta: float = 10000.0
    norm_epsilon: float = 1e-5

    def hugging_face(self) -> dict:
        """config.json of the exported model."""
        return {
            "architectures": ["MixtralForCausalLM"],
            "model_type": "mixtral",
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.expert_width,
            "num_hidden_layers": self.layer_count,
            "num_attention_heads": self.head_count,
            "num_key_value_heads": self.kv_head_count,
            "head_dim": self.head_size,
            "num_local_experts": self.expert_count,
            "num_experts_per_tok": self.top_k,
            "max_position_embeddings": self.positions_max,
            "rope_theta": self.rope_theta,
            "rms_norm_eps": self.norm_epsilon,
            "hidden_act": "silu",
            "attention_dropout": 0.0,
            "sliding_window": None,
            "router_aux_loss_coef": 0.01,
            "router_jitter_noise": 0.0,
            "output_router_logits": False,
            "initializer_range": 0.02,
            "tie_word_embeddings": True,
            "use_cache": True,
            "bos_token_id": None,
            "eos_token_id": 0,
            "pad_token_id": 1,
            "torch_dtype": "bfloat16",
        }

    def as_dict(self) -> dict:
        return asdict(self)


class DictionaryModel(nn.Module):
    """tokens [batch, positions] → logits [batch, positions, vocab]; embeddings are tied."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.embed = nn.Parameter(torch.randn(config.vocab_size, config.hidden_size) * 0.02)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layer_count))
        self.norm = nn.Parameter(torch.ones(config.hidden_size))
        cosines, sines = rope_tables(config)
        self.register_buffer("cosines", cosines, persistent=False)
        self.register_buffer("sines", sines, persistent=False)

    def forward(self, tokens, mask):
        """mask [batch, 1, positions, positions], true where a query sees a key.

        Returns the final hidden rows (for `logits`) and the mean load-balancing loss.
        """
        positions = tokens.shape[1]
        rope = (self.cosines[:positions], self.sines[:positions])
        hidden = F.embedding(tokens, self.embed)
        balance = hidden.new_zeros(())
        for layer in self.layers:
            hidden, layer_balance = layer(hidden, mask, rope)
            balance = balance + layer_balance
        return rms_norm(hidden, self.norm, self.config), balance / len(self.layers)

    def logits(self, hidden):
        return F.linear(hidden, self.embed)


class Layer(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        hidden, head = config.hidden_size, config.head_size
        self.q_size = config.head_count * head
        self.kv_size = config.kv_head_count * head
        output_scale = 0.02 / (2 * config.layer_count) ** 0.5
        normal = lambda *shape, scale=0.02: nn.Parameter(torch.randn(*shape) * scale)  # noqa: E731
        self.attention_norm = nn.Parameter(torch.ones(hidden))
        self.qkv = normal(self.q_size + 2 * self.kv_size, hidden, scale=hidden**-0.5)
        self.output = normal(hidden, self.q_size, scale=output_scale)
        self.expert_norm = nn.Parameter(torch.ones(hidden))
        self.router = normal(config.expert_count, hidden)
        self.gate_up = normal(
            config.expert_count, 2 * config.expert_width, hidden, scale=hidden**-0.5
        )
        self.down = normal(config.expert_count, hidden, config.expert_width, scale=output_scale)

    def forward(self, hidden, mask, rope):
        hidden = hidden + self.attend(rms_norm(hidden, self.attention_norm, self.config), mask, rope)
        answers, balance = self.experts(rms_norm(hidden, self.expert_norm, self.config))
        return hidden + answers, balance

    def attend(self, rows, mask, rope):
        batch, positions, _ = rows.shape
        head = self.config.head_size
        q, k, v = F.linear(rows, self.qkv).split([self.q_size, self.kv_size, self.kv_size], dim=-1)
        q, k, v = (part.view(batch, positions, -1, head).transpose(1, 2) for part in (q, k, v))
        q, k = rotate(q, *rope), rotate(k, *rope)
        repeats = self.config.head_count // self.config.kv_head_count
        k, v = k.repeat_interleave(repeats, dim=1), v.repeat_interleave(repeats, dim=1)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return F.linear(mixed.transpose(1, 2).reshape(batch, positions, self.q_size), self.output)

    def experts(self, rows):
        shape = rows.shape
        rows = rows.reshape(-1, shape[-1])
        count, top_k = self.config.expert_count, self.config.top_k
        scores = F.linear(rows.float(), self.router.float()).softmax(dim=-1)
        weights, chosen = scores.topk(top_k, dim=-1)
        weights = weights / weights.sum(dim=-1, keepdim=True)

        order = chosen.flatten().argsort(stable=True)
        rows_per_expert = chosen.flatten().bincount(minlength=count)
        sorted_rows = rows[order // top_k].split(rows_per_expert.tolist())
        answers = []
        for expert_rows, gate_up, down in zip(
            sorted_rows, self.gate_up.unbind(), self.down.unbind(), strict=True
        ):
            gate, up = F.linear(expert_rows, gate_up).chunk(2, dim=-1)
            answers.append(F.linear(F.silu(gate) * up, down))
        answers = torch.cat(answers) * weights.flatten()[order, None].to(rows.dtype)
        summed = torch.zeros_like(rows).index_add(0, order // top_k, answers)

        share = rows_per_expert.to(scores.dtype) / rows.shape[0]
        balance = count * (share * scores.mean(dim=0)).sum()
        return summed.view(shape), balance


def rms_norm(rows, weight, config):
    return F.rms_norm(rows, (config.hidden_size,), weight, config.norm_epsilon)


def rope_tables(config: ModelConfig):
    """cos and sin [positions, head_size]; the two halves of a head turn together."""
    exponents = torch.arange(0, config.head_size, 2, dtype=torch.float32) / config.head_size
    frequencies = 1.0 / config.rope_theta**exponents
    angles = torch.outer(torch.arange(config.positions_max, dtype=torch.float32), frequencies)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotate(heads, cosines, sines):
    first, second = heads.chunk(2, dim=-1)
    turned = heads * cosines + torch.cat([-second, first], dim=-1) * sines
    return turned.to(heads.dtype)
