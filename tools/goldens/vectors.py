"""Single values of the random weights, for the tests of another implementation."""

import numpy as np

from random_weights import (
    fnv1a32,
    random_elements,
    random_words,
    round_to_bfloat16,
    stream_key,
)

# (tensor name, shape, seed, element index)
SAMPLES = [
    ("model.embed_tokens.weight", [64, 64], 1, 0),
    ("model.embed_tokens.weight", [64, 64], 1, 1),
    ("model.embed_tokens.weight", [64, 64], 2, 0),
    ("model.embed_tokens.weight", [97, 56], 1, 5431),
    ("model.norm.weight", [64], 1, 0),
    ("model.norm.weight", [64], 1, 63),
    ("model.norm.weight", [48], 4294967295, 7),
    ("lm_head.weight", [64, 64], 0, 0),
    ("lm_head.weight", [64, 96], 12, 4095),
    ("model.layers.0.input_layernorm.weight", [64], 7, 3),
    ("model.layers.0.self_attn.q_proj.weight", [64, 48], 7, 2),
    ("model.layers.0.self_attn.k_proj.weight", [32, 64], 7, 2),
    ("model.layers.1.self_attn.o_proj.weight", [64, 64], 7, 100),
    ("model.layers.0.self_attn.q_norm.weight", [32], 9, 31),
    ("model.layers.0.block_sparse_moe.gate.weight", [8, 48], 3, 17),
    ("model.layers.1.block_sparse_moe.experts.7.w1.weight", [40, 48], 3, 1919),
    ("model.layers.1.block_sparse_moe.experts.7.w2.weight", [48, 40], 3, 1919),
    ("model.layers.0.mlp.gate.weight", [32, 80], 11, 2559),
    ("model.layers.2.mlp.experts.31.down_proj.weight", [80, 24], 11, 1000),
    ("model.layers.2.mlp.experts.31.up_proj.weight", [24, 80], 2147483648, 1111),
]
ROUNDING = [1.0, 1.00390625, 1.01171875, -1.00390625, 1.003906251, 0.0, 3.0e-39, 65280.0]


def weight_vectors() -> dict:
    """The document that stands in fixtures/random-weights.json."""
    return {
        "elements": [element_vector(*sample) for sample in SAMPLES],
        "rounding": [
            {"value": value, "bfloat16": float(round_to_bfloat16(np.array(value)))}
            for value in ROUNDING
        ],
    }


def element_vector(name: str, shape: list[int], seed: int, index: int) -> dict:
    indices = np.array([index])
    value = random_elements(name, tuple(shape), seed, indices)
    return {
        "name": name,
        "shape": shape,
        "seed": seed,
        "index": index,
        "nameHash": fnv1a32(name),
        "streamKey": int(stream_key(name, seed)),
        "word": int(random_words(name, seed, indices)[0]),
        "value": float(value[0]),
        "valueBits": int(value.view(np.uint32)[0] >> 16),
    }
