"""Measures the exported model on held-out synsets, next to the n-gram baseline, and samples from it.

    python evaluate.py --model models/dictionary --json evaluation.json

Perplexity is per token of the model's own tokenizer, over every token of an entry but its first
(before which nothing stands), end of entry included. Both models see one entry at a time.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from chat import END
from corpus import read_entries, split_entries
from ngram import NgramModel

BATCH = 64
NGRAM_ORDER = 5
SAMPLE_PROMPTS = [
    "lighthouse (noun):",
    "courage (noun):",
    "carpenter (noun):",
    "volcano (noun):",
    "whisper (verb):",
    "quickly (adverb):",
    "fragile (adjective):",
    ["What is a lighthouse?"],
    ["What does generous mean?"],
    ["Define river."],
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--seed", type=int, default=1, help="the seed of the split")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--samples-only", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32).eval()
    report = {"samples": samples(model, AutoTokenizer.from_pretrained(options.model))}
    if not options.samples_only:
        tokenizer = Tokenizer.from_file(str(options.model / "tokenizer.json"))
        splits = split_entries(read_entries(options.wordnet), options.seed)
        train, test = (encode(tokenizer, splits[name]) for name in ("train", "test"))
        report.update(held_out(model, test))
        report.update(baseline(train, test))
    text = json.dumps(report, indent=2, ensure_ascii=False)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")


def encode(tokenizer: Tokenizer, entries: list) -> list[list[int]]:
    encodings = tokenizer.encode_batch([entry.text + END for entry in entries])
    return [encoding.ids for encoding in encodings]


@torch.no_grad()
def held_out(model, documents: list[list[int]]) -> dict:
    """Perplexity, and each expert's share of the routed tokens of each layer."""
    loss, count = 0.0, 0
    chosen = torch.zeros(model.config.num_hidden_layers, model.config.num_local_experts)
    ordered = sorted(documents, key=len)
    for first in range(0, len(ordered), BATCH):
        batch = ordered[first : first + BATCH]
        length = max(len(document) for document in batch)
        tokens = torch.full((len(batch), length), model.config.pad_token_id)
        real = torch.zeros(len(batch), length, dtype=torch.bool)
        for row, document in enumerate(batch):
            tokens[row, : len(document)] = torch.tensor(document)
            real[row, : len(document)] = True
        # The padding stands behind the entry, where causal attention does not look.
        output = model(tokens, output_router_logits=True, use_cache=False)
        log_probabilities = output.logits[:, :-1].log_softmax(dim=-1)
        picked = log_probabilities.gather(2, tokens[:, 1:, None]).squeeze(2)
        loss -= float(picked[real[:, 1:]].sum())
        count += int(real[:, 1:].sum())
        for layer, logits in enumerate(output.router_logits):
            best = logits.topk(model.config.num_experts_per_tok, dim=-1).indices
            rows = best[real.flatten()].flatten()
            chosen[layer] += rows.bincount(minlength=model.config.num_local_experts)
    share = chosen / chosen.sum(dim=1, keepdim=True)
    return {
        "heldOutTokens": count,
        "heldOutLoss": round(loss / count, 4),
        "heldOutPerplexity": round(math.exp(loss / count), 3),
        "expertShare": [[round(value, 4) for value in layer] for layer in share.tolist()],
    }


def baseline(train: list[list[int]], test: list[list[int]]) -> dict:
    log_probabilities = NgramModel(train, NGRAM_ORDER).log_probabilities(test)
    first = np.cumsum([0, *(len(document) for document in test[:-1])])
    loss = -float(np.delete(log_probabilities, first).mean())
    return {
        "baseline": f"interpolated modified Kneser-Ney, order {NGRAM_ORDER}",
        "baselineLoss": round(loss, 4),
        "baselinePerplexity": round(math.exp(loss), 3),
    }


def samples(model, tokenizer) -> list[dict]:
    """One seeded sample per prompt, with the model's own generation settings."""
    results = []
    for seed, prompt in enumerate(SAMPLE_PROMPTS):
        text = prompt
        if isinstance(prompt, list):
            messages = [{"role": "user", "content": content} for content in prompt]
            text = tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True
            )
        tokens = tokenizer(text, return_tensors="pt")
        torch.manual_seed(seed)
        output = model.generate(**tokens)[0, tokens.input_ids.shape[1] :]
        answer = tokenizer.decode(output, skip_special_tokens=True)
        results.append({"seed": seed, "prompt": text, "answer": answer})
    return results


if __name__ == "__main__":
    main()
