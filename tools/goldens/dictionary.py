"""Asks Transformers, in f32, about the built-in model: 50 prompts, their logits and 16 greedy tokens.

    python dictionary.py            writes fixtures/dictionary.json and fixtures/dictionary.f32
    python dictionary.py --check    computes everything again and compares, byte for byte
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from generate import FIXTURES, GREEDY_STEPS, as_json, check, routing_margin

MODEL = Path(__file__).parents[2] / "models" / "dictionary"

NOUNS = (
    "lighthouse river courage carpenter volcano bridge winter orchestra sparrow kitchen "
    "democracy anchor physician harvest telescope hot_dog photosynthesis Paris"
)
VERBS = "whisper run build forget melt climb negotiate sing"
ADJECTIVES = "fragile generous green ancient noisy portable"
ADVERBS = "quickly never quietly"
CONVERSATIONS = [
    ["What is a lighthouse?"],
    ["What does generous mean?"],
    ["Define river."],
    ["What is an anchor?"],
    ["telescope"],
    ["What does it mean to whisper?"],
    ["What is democracy?"],
    ["Define quickly"],
    ["Who is Einstein?"],
    ["what is a bridge"],
    ["What's a sparrow?"],
    ["What is a lighthouse?", "noun: a tower with a light", "What is a bridge?"],
    ["Define run.", "verb: move fast by using one's feet", "And a river?"],
]
PLAIN = ["The", "a tower with a light that gives warning of"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    model = AutoModelForCausalLM.from_pretrained(
        MODEL, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    prompts, rows = [], []
    for record in all_prompts(tokenizer):
        answer, last_logits = run_prompt(model, record["promptTokens"])
        prompts.append({**record, **answer})
        rows.append(last_logits)
    logits = np.stack(rows)
    record = {
        "model": "models/dictionary",
        "weightsSha256": hashlib.sha256((MODEL / "model.safetensors").read_bytes()).hexdigest(),
        "logitsFile": "dictionary.f32",
        "logitsShape": list(logits.shape),
        "smallestRoutingMargin": min(prompt["routingMargin"] for prompt in prompts),
        "smallestTokenMargin": min(min(prompt["tokenMargins"]) for prompt in prompts),
        "prompts": prompts,
    }
    files = {"dictionary.json": as_json(record), "dictionary.f32": logits.astype("<f4").tobytes()}
    if options.check:
        check(files)
        return
    for name, content in files.items():
        (FIXTURES / name).write_bytes(content)
    print(len(prompts), record["smallestRoutingMargin"], record["smallestTokenMargin"])


def all_prompts(tokenizer) -> list[dict]:
    """Every prompt as text and token ids; conversations also as messages."""
    parts = {"noun": NOUNS, "verb": VERBS, "adjective": ADJECTIVES, "adverb": ADVERBS}
    texts = [
        f"{word.replace('_', ' ')} ({part}):" for part, words in parts.items() for word in words.split()
    ]
    records = [{"text": text} for text in [*texts, *PLAIN]]
    for contents in CONVERSATIONS:
        messages = [
            {"role": "assistant" if index % 2 else "user", "content": content}
            for index, content in enumerate(contents)
        ]
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        records.append({"text": text, "messages": messages})
    return [{**record, "promptTokens": tokenizer(record["text"]).input_ids} for record in records]


@torch.no_grad()
def run_prompt(model, prompt: list[int]) -> tuple[dict, np.ndarray]:
    """Greedy decoding without a cache; the row is the logits at the prompt's last position."""
    tokens = list(prompt)
    margins = []
    for _ in range(GREEDY_STEPS):
        last = model(torch.tensor([tokens]), use_cache=False).logits[0, -1]
        best = last.topk(2).values
        margins.append(float(best[0] - best[1]))
        tokens.append(int(last.argmax()))
    output = model(torch.tensor([tokens]), use_cache=False, output_router_logits=True)
    record = {
        "greedyTokens": tokens[len(prompt) :],
        "tokenMargins": margins,
        "routingMargin": routing_margin(output.router_logits, model.config.num_experts_per_tok),
    }
    return record, output.logits[0, len(prompt) - 1].numpy()


if __name__ == "__main__":
    main()
