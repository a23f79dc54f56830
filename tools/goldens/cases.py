"""The configurations for which Transformers is asked, as they would stand in config.json."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    name: str
    family: str
    # Chosen so that no choice is a close one: see SMALLEST_ROUTING_MARGIN in generate.py.
    seed: int
    # What this case can find that the others cannot.
    purpose: str
    config: dict


def mixtral(**fields) -> dict:
    return {
        "architectures": ["MixtralForCausalLM"],
        "model_type": "mixtral",
        "hidden_act": "silu",
        "vocab_size": 64,
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": None,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "max_position_embeddings": 512,
        "rope_theta": 10000.0,
        "rms_norm_eps": 1e-5,
        "sliding_window": None,
        "attention_dropout": 0.0,
        "router_jitter_noise": 0.0,
        "tie_word_embeddings": False,
        **fields,
    }


def qwen3_moe(**fields) -> dict:
    return {
        "architectures": ["Qwen3MoeForCausalLM"],
        "model_type": "qwen3_moe",
        "hidden_act": "silu",
        "vocab_size": 64,
        "hidden_size": 64,
        "intermediate_size": 96,
        "moe_intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "norm_topk_prob": True,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "max_position_embeddings": 512,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "rms_norm_eps": 1e-6,
        "use_sliding_window": False,
        "sliding_window": None,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": False,
        **fields,
    }


CASES = [
    Case("mixtral-plain", "mixtral", 1, "grouped queries, top-2 of 4, untied", mixtral()),
    Case(
        "mixtral-tied",
        "mixtral",
        26,
        "tied embeddings, one KV head, hidden 48, expert width 40",
        mixtral(
            hidden_size=48,
            num_attention_heads=3,
            num_key_value_heads=1,
            intermediate_size=40,
            num_local_experts=8,
            tie_word_embeddings=True,
        ),
    ),
    Case(
        "mixtral-window",
        "mixtral",
        3,
        "sliding window of 16, as many KV heads as heads, rope theta 1e6",
        mixtral(
            num_attention_heads=8,
            num_key_value_heads=8,
            num_local_experts=5,
            sliding_window=16,
            rope_theta=1000000.0,
        ),
    ),
    Case(
        "mixtral-top-1",
        "mixtral",
        4,
        "top-1 renormalized (every weight is 1), three layers, hidden 96",
        mixtral(
            hidden_size=96,
            num_attention_heads=6,
            num_key_value_heads=3,
            num_hidden_layers=3,
            num_local_experts=8,
            num_experts_per_tok=1,
        ),
    ),
    Case(
        "mixtral-top-4",
        "mixtral",
        53,
        "top-4 of 8, head_dim given and not hidden / heads, window of 64, epsilon 1e-6",
        mixtral(
            head_dim=32,
            num_local_experts=8,
            num_experts_per_tok=4,
            sliding_window=64,
            rms_norm_eps=1e-6,
        ),
    ),
    Case(
        "mixtral-odd",
        "mixtral",
        6,
        "sizes that no vector width divides: hidden 56, expert width 33, vocabulary 97, 7 heads",
        mixtral(
            vocab_size=97,
            hidden_size=56,
            intermediate_size=33,
            num_attention_heads=7,
            num_key_value_heads=1,
            num_local_experts=6,
            num_experts_per_tok=3,
            tie_word_embeddings=True,
        ),
    ),
    Case(
        "qwen3-plain",
        "qwen3-moe",
        31,
        "query and key norms, head_dim 32 of hidden 64, top-2 of 8 renormalized",
        qwen3_moe(),
    ),
    Case(
        "qwen3-not-renormalized",
        "qwen3-moe",
        8,
        "routing weights left as they are, tied embeddings, top-3 of 6, hidden 48",
        qwen3_moe(
            hidden_size=48,
            num_attention_heads=6,
            head_dim=16,
            num_experts=6,
            num_experts_per_tok=3,
            norm_topk_prob=False,
            tie_word_embeddings=True,
        ),
    ),
    Case(
        "qwen3-window",
        "qwen3-moe",
        45,
        "sliding window of 24, top-4 of 16, expert width 48",
        qwen3_moe(
            head_dim=16,
            moe_intermediate_size=48,
            num_experts=16,
            num_experts_per_tok=4,
            use_sliding_window=True,
            sliding_window=24,
        ),
    ),
    Case(
        "qwen3-window-unused",
        "qwen3-moe",
        10,
        "a sliding window that use_sliding_window turns off, top-1 not renormalized",
        qwen3_moe(num_experts_per_tok=1, norm_topk_prob=False, sliding_window=24),
    ),
    Case(
        "qwen3-odd",
        "qwen3-moe",
        95,
        "5 heads of 24, hidden 72, vocabulary 89, three layers, expert width 40",
        qwen3_moe(
            vocab_size=89,
            hidden_size=72,
            num_hidden_layers=3,
            num_attention_heads=5,
            num_key_value_heads=5,
            head_dim=24,
            num_experts=7,
            num_experts_per_tok=3,
        ),
    ),
    Case(
        "qwen3-many-experts",
        "qwen3-moe",
        36,
        "top-4 of 32, hidden 80, rope theta 1e6, 8 heads over 2 KV heads",
        qwen3_moe(
            vocab_size=80,
            hidden_size=80,
            moe_intermediate_size=24,
            num_attention_heads=8,
            head_dim=16,
            num_experts=32,
            num_experts_per_tok=4,
            rope_theta=1000000.0,
        ),
    ),
]
