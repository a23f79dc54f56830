"""Trains the built-in model. See README.md for the command that made the committed one.

The learning rate warms up, stays, and falls to zero over the last `--decay-steps`. A run may be
resumed with another `--steps`: as long as the fall has not begun, the result is the same.
"""

import argparse
import math
import signal
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from batches import IGNORED, EpochPacker, batch_of
from corpus import everyday_entries, read_entries, split_entries
from model import DictionaryModel, ModelConfig
from tokenizer import save_tokenizer, train_tokenizer

BALANCE_COEFFICIENT = 0.01
GRADIENT_NORM_MAX = 1.0
VALIDATION_BLOCKS = 64


def main() -> None:
    options = parse_options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    splits = split_entries(read_entries(options.wordnet), options.seed)
    tokenizer = tokenizer_in(options.out, splits["train"])
    everyday = everyday_entries(splits["train"], options.wordnet)
    repeated = splits["train"] + everyday * options.everyday_repeats
    print(f"{len(splits['train']):,} entries, {len(everyday):,} everyday ones", flush=True)
    packer = EpochPacker(tokenizer, repeated, options.chat_share, options.block)
    validation = EpochPacker(tokenizer, splits["validation"], 0.0, options.block).pack(0, 0)

    model = DictionaryModel(ModelConfig())
    masters = [p.detach().clone().requires_grad_() for p in model.parameters()]
    optimizer = optimizer_of(masters, options)
    step = resume(masters, optimizer, options.out)
    use_bfloat16(model, masters)
    print(f"{sum(p.numel() for p in masters):,} parameters, from step {step}", flush=True)

    stop = StopSignal()
    epoch, first_step, packed, steps_in_epoch = -1, 0, None, 0
    started, tokens_seen, loss_sum, logged = time.monotonic(), 0, 0.0, 0
    last_step = min(options.steps, options.stop_at or options.steps)
    while step < last_step and not stop.received:
        while packed is None or step >= first_step + steps_in_epoch:
            first_step += steps_in_epoch
            epoch += 1
            packed = packer.pack(options.seed, epoch)
            steps_in_epoch = len(packed.tokens) // options.batch
            print(f"epoch {epoch}: {steps_in_epoch} steps of {options.batch} blocks", flush=True)
        first_block = (step - first_step) * options.batch
        batch = batch_of(packed, slice(first_block, first_block + options.batch))
        set_learning_rate(optimizer, step, options)
        loss, balance = train_step(model, masters, optimizer, batch)
        step += 1
        tokens_seen += batch[0].numel()
        loss_sum += loss
        logged += 1
        if step % options.log_every == 0:
            speed = tokens_seen / (time.monotonic() - started)
            print(
                f"step {step} loss {loss_sum / logged:.4f} balance {balance:.3f} {speed:.0f} tokens/s",
                flush=True,
            )
            loss_sum, logged = 0.0, 0
        if step % options.save_every == 0 or step == last_step or stop.received:
            print(f"step {step} validation {validate(model, validation):.4f}", flush=True)
            save(model, masters, optimizer, step, options.out)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--out", type=Path, required=True, help="a folder outside the repository")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--decay-steps", type=int, required=True)
    parser.add_argument("--stop-at", type=int, help="save and end at this step, before --steps")
    parser.add_argument("--warmup-steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--batch", type=int, default=16, help="blocks in a step")
    parser.add_argument("--block", type=int, default=256, help="tokens in a block")
    parser.add_argument("--chat-share", type=float, default=0.35, help="entries asked for, an epoch")
    parser.add_argument(
        "--everyday-repeats", type=int, default=0, help="more copies of everyday words, an epoch"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--log-every", type=int, default=20)
    parser.add_argument("--save-every", type=int, default=100)
    return parser.parse_args()


def tokenizer_in(folder: Path, entries: list) -> Tokenizer:
    """The tokenizer of a run that is resumed, or a new one."""
    if not (folder / "tokenizer.json").exists():
        save_tokenizer(train_tokenizer(entries), folder)
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


class StopSignal:
    """Remembers SIGTERM, so that the step under way is finished and saved."""

    def __init__(self):
        self.received = False
        signal.signal(signal.SIGTERM, self.receive)

    def receive(self, *_) -> None:
        self.received = True


def optimizer_of(masters: list, options: argparse.Namespace) -> torch.optim.AdamW:
    matrices = [p for p in masters if p.dim() > 1]
    vectors = [p for p in masters if p.dim() == 1]
    groups = [
        {"params": matrices, "weight_decay": options.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=options.learning_rate, betas=(0.9, 0.95), fused=True)


@torch.no_grad()
def use_bfloat16(model: DictionaryModel, masters: list) -> None:
    """The model computes with bf16 weights, rounded from the f32 masters that the optimizer moves."""
    for weight, master in zip(model.parameters(), masters, strict=True):
        weight.data = weight.data.to(torch.bfloat16)
        weight.copy_(master)


def set_learning_rate(optimizer: torch.optim.AdamW, step: int, options: argparse.Namespace) -> None:
    warmup = min(1.0, (step + 1) / options.warmup_steps)
    left = max(0.0, (options.steps - step) / options.decay_steps)
    for group in optimizer.param_groups:
        group["lr"] = options.learning_rate * min(warmup, left)


def train_step(model, masters: list, optimizer, batch) -> tuple[float, float]:
    """One update; returns (mean loss, load balance), of which the latter is top-k at best."""
    tokens, targets, mask = batch
    hidden, balance = model(tokens, mask)
    predicted = targets != IGNORED
    logits = model.logits(hidden[predicted])
    loss = F.cross_entropy(logits, targets[predicted], reduction="none").float().mean()
    (loss + BALANCE_COEFFICIENT * balance).backward()
    with torch.no_grad():
        for weight, master in zip(model.parameters(), masters, strict=True):
            master.grad = weight.grad.float()
            weight.grad = None
        norm = torch.nn.utils.clip_grad_norm_(masters, GRADIENT_NORM_MAX)
        if not math.isfinite(norm):
            raise RuntimeError("The gradient is not finite. Lower --learning-rate.")
        optimizer.step()
        for weight, master in zip(model.parameters(), masters, strict=True):
            weight.copy_(master)
    return loss.item(), balance.item()


@torch.no_grad()
def validate(model: DictionaryModel, packed) -> float:
    """Mean loss over the first validation blocks, nats a token."""
    total, count = 0.0, 0
    for first in range(0, min(VALIDATION_BLOCKS, len(packed.tokens)), 16):
        tokens, targets, mask = batch_of(packed, slice(first, first + 16))
        hidden, _ = model(tokens, mask)
        predicted = targets != IGNORED
        logits = model.logits(hidden[predicted])
        total += F.cross_entropy(logits.float(), targets[predicted], reduction="sum").item()
        count += int(predicted.sum())
    return total / count


def save(model, masters: list, optimizer, step: int, folder: Path) -> None:
    names = [name for name, _ in model.named_parameters()]
    state = {
        "config": model.config.as_dict(),
        "model": {name: master.detach() for name, master in zip(names, masters, strict=True)},
        "optimizer": optimizer.state_dict(),
        "step": step,
    }
    torch.save(state, folder / "checkpoint.pt.part")
    (folder / "checkpoint.pt.part").rename(folder / "checkpoint.pt")


@torch.no_grad()
def resume(masters: list, optimizer, folder: Path) -> int:
    """Loads the newest checkpoint of the folder, if any; returns its step."""
    path = folder / "checkpoint.pt"
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    for master, saved in zip(masters, state["model"].values(), strict=True):
        master.copy_(saved)
    optimizer.load_state_dict(state["optimizer"])
    return state["step"]


if __name__ == "__main__":
    main()
