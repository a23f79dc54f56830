"""Packs entries and conversations into blocks without padding.

A document is one entry, or one conversation of one to three turns. Documents follow each other in
one long row that is cut into blocks; a mask keeps each document to itself.
"""

import random
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer

from chat import END, TURNS, turn_about
from corpus import Entry

IGNORED = -100


@dataclass
class Packed:
    """All blocks of one epoch, each [blocks, block_size]."""

    tokens: np.ndarray
    # Next token of the same document, or IGNORED (questions, and across documents).
    targets: np.ndarray
    # Number of the document that a token belongs to.
    documents: np.ndarray


class EpochPacker:
    """Orders and packs one epoch; the same (seed, epoch) gives the same blocks."""

    def __init__(
        self, tokenizer: Tokenizer, entries: list[Entry], chat_share: float, block_size: int
    ):
        """Entries may be repeated: each copy is a document, and may be asked for, on its own."""
        self.tokenizer = tokenizer
        self.entries = entries
        self.chat_share = chat_share
        self.block_size = block_size
        texts = [entry.text + END for entry in entries]
        self.entry_tokens = [encoding.ids for encoding in tokenizer.encode_batch(texts)]

    def pack(self, seed: int, epoch: int) -> Packed:
        generator = random.Random(seed * 1_000_003 + epoch)
        documents = [(ids, 1) for ids in self.entry_tokens]
        documents.extend(self.conversations(generator))
        generator.shuffle(documents)
        return cut_into_blocks(documents, self.block_size)

    def conversations(self, generator: random.Random) -> list[tuple[list[int], int]]:
        """Questions about a share of the entries; targets hold the answers only."""
        chosen = [entry for entry in self.entries if generator.random() < self.chat_share]
        generator.shuffle(chosen)
        parts: list[str] = []
        conversation_lengths = []
        position = 0
        while position < len(chosen):
            turns = chosen[position : position + generator.choice(TURNS)]
            position += len(turns)
            conversation_lengths.append(2 * len(turns))
            for entry in turns:
                parts.extend(turn_about(entry, generator))
        encoded = [encoding.ids for encoding in self.tokenizer.encode_batch(parts)]
        conversations = []
        position = 0
        for length in conversation_lengths:
            conversations.append(conversation_tokens(encoded[position : position + length]))
            position += length
        return conversations


def conversation_tokens(parts: list[list[int]]) -> tuple[list[int], np.ndarray]:
    """(token ids, per token whether it is to be predicted) of question, answer, question, …"""
    tokens = [token for part in parts for token in part]
    predicted = np.concatenate(
        [np.full(len(part), index % 2 == 1) for index, part in enumerate(parts)]
    )
    return tokens, predicted


def cut_into_blocks(documents: list, block_size: int) -> Packed:
    total = sum(len(tokens) for tokens, _ in documents)
    tokens = np.empty(total, dtype=np.int64)
    predicted = np.empty(total, dtype=bool)
    numbers = np.empty(total, dtype=np.int64)
    position = 0
    for number, (document, is_predicted) in enumerate(documents):
        end = position + len(document)
        tokens[position:end] = document
        predicted[position:end] = is_predicted
        predicted[position] = False  # nothing stands before a document's first token
        numbers[position:end] = number
        position = end
    targets = np.full(total, IGNORED, dtype=np.int64)
    targets[:-1] = np.where(predicted[1:], tokens[1:], IGNORED)
    blocks = total // block_size
    cut = lambda values: values[: blocks * block_size].reshape(blocks, block_size)  # noqa: E731
    return Packed(cut(tokens), cut(targets), cut(numbers))


def batch_of(packed: Packed, blocks: slice) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(tokens, targets, mask [batch, 1, positions, positions]) of the given blocks."""
    tokens = torch.from_numpy(packed.tokens[blocks])
    targets = torch.from_numpy(packed.targets[blocks])
    documents = torch.from_numpy(packed.documents[blocks])
    same_document = documents[:, :, None] == documents[:, None, :]
    causal = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool).tril()
    return tokens, targets, (same_document & causal)[:, None]
