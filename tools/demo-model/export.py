"""Writes a checkpoint as a Hugging Face folder in bf16 and proves that Transformers agrees with it.

    python export.py --checkpoint FOLDER --out models/dictionary
"""

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from model import DictionaryModel, ModelConfig
from tokenizer import write_json

BYTES_MAX = 20_000_000
# f32 logits of the two implementations, same weights.
LOGIT_DIFFERENCE_MAX = 2e-4
TOKENIZER_FILES = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    state = torch.load(options.checkpoint / "checkpoint.pt", map_location="cpu", weights_only=True)
    config = ModelConfig(**state["config"])
    weights = {name: weight.to(torch.bfloat16) for name, weight in state["model"].items()}

    options.out.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        shutil.copyfile(options.checkpoint / name, options.out / name)
    write_json(options.out / "config.json", config.hugging_face())
    write_json(options.out / "generation_config.json", generation_config(config))
    tensors = hugging_face_tensors(weights, config)
    save_file(tensors, options.out / "model.safetensors", metadata={"format": "pt"})

    (options.out / "model.safetensors").chmod(0o644)
    size = (options.out / "model.safetensors").stat().st_size
    if size > BYTES_MAX:
        raise SystemExit(f"model.safetensors has {size:,} bytes, more than {BYTES_MAX:,}.")
    difference = logit_difference(options.out, weights, config)
    if difference > LOGIT_DIFFERENCE_MAX:
        raise SystemExit(f"Transformers disagrees: logits differ by {difference}.")
    print(f"step {state['step']}, {size:,} bytes, logits differ by at most {difference:.1e}")


def generation_config(config: ModelConfig) -> dict:
    ends = config.hugging_face()
    return {
        "eos_token_id": [ends["eos_token_id"]],
        "pad_token_id": ends["pad_token_id"],
        "do_sample": True,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "max_new_tokens": 96,
    }


def hugging_face_tensors(weights: dict, config: ModelConfig) -> dict:
    """The tensors under the names of Mixtral checkpoints, fused matrices taken apart."""
    tensors = {"model.embed_tokens.weight": weights["embed"], "model.norm.weight": weights["norm"]}
    kv_size = config.kv_head_count * config.head_size
    for index in range(config.layer_count):
        source = {
            name.split(".", 2)[2]: weight
            for name, weight in weights.items()
            if name.startswith(f"layers.{index}.")
        }
        q, k, v = source["qkv"].split([config.head_count * config.head_size, kv_size, kv_size])
        layer = {
            "input_layernorm.weight": source["attention_norm"],
            "post_attention_layernorm.weight": source["expert_norm"],
            "self_attn.q_proj.weight": q,
            "self_attn.k_proj.weight": k,
            "self_attn.v_proj.weight": v,
            "self_attn.o_proj.weight": source["output"],
            "block_sparse_moe.gate.weight": source["router"],
        }
        for expert in range(config.expert_count):
            gate, up = source["gate_up"][expert].chunk(2)
            prefix = f"block_sparse_moe.experts.{expert}"
            layer[f"{prefix}.w1.weight"] = gate
            layer[f"{prefix}.w2.weight"] = source["down"][expert]
            layer[f"{prefix}.w3.weight"] = up
        tensors.update({f"model.layers.{index}.{name}": part for name, part in layer.items()})
    return {name: tensor.contiguous().clone() for name, tensor in tensors.items()}


@torch.no_grad()
def logit_difference(folder: Path, weights: dict, config: ModelConfig) -> float:
    """The largest difference of f32 logits between Transformers and the training model."""
    theirs = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    ours = DictionaryModel(config)
    ours.load_state_dict({name: weight.float() for name, weight in weights.items()})
    tokens = torch.randint(
        4, config.vocab_size, (2, 48), generator=torch.Generator().manual_seed(1)
    )
    mask = torch.ones(48, 48, dtype=torch.bool).tril()[None, None].expand(2, 1, 48, 48)
    hidden, _ = ours(tokens, mask)
    return float((ours.logits(hidden) - theirs(tokens).logits).abs().max())


if __name__ == "__main__":
    main()
