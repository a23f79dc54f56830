"""The baseline: an n-gram model with interpolated modified Kneser-Ney smoothing.

    p_n(w | h) = max(c(hw) - D(c(hw)), 0) / c(h) + λ(h) p_{n-1}(w | h without its first token)

The highest order counts occurrences, the lower ones count distinct left neighbours, the last falls
back on 1 / vocabulary. Discounts D(1), D(2), D(3+) are estimated per order from counts of counts
(Chen and Goodman, 1999). Histories never reach beyond a document; where one is too short, START stands.
"""

import numpy as np

from tokenizer import VOCAB_SIZE

# The padding token; it never occurs in an entry.
START = 1
BITS = 12
ORDER_MAX = 63 // BITS


class Order:
    """The n-grams of one order. A gram is one integer of n tokens, the oldest token highest."""

    def __init__(self, grams: np.ndarray, counts: np.ndarray):
        self.grams = grams  # sorted, distinct
        self.counts = counts
        self.discounts = discounts_of(counts)
        histories = grams >> BITS
        first = np.flatnonzero(np.append(True, histories[1:] != histories[:-1]))
        self.histories = histories[first]
        self.totals = np.add.reduceat(counts, first)
        held_back = self.discounts[np.minimum(counts, 3)]
        self.backoff_weights = np.add.reduceat(held_back, first) / self.totals

    def probabilities(self, grams: np.ndarray, lower: np.ndarray) -> np.ndarray:
        """p of each gram's last token, given the lower order's probabilities."""
        gram_at, gram_known = find(self.grams, grams)
        history_at, history_known = find(self.histories, grams >> BITS)
        counts = np.where(gram_known, self.counts[gram_at], 0)
        kept = counts - self.discounts[np.minimum(counts, 3)]
        higher = np.maximum(kept, 0) / self.totals[history_at]
        return np.where(history_known, higher + self.backoff_weights[history_at] * lower, lower)


class NgramModel:
    def __init__(self, documents: list[list[int]], order: int):
        if order > ORDER_MAX:
            raise ValueError(f"Order {order} does not fit 64 bits; at most {ORDER_MAX}.")
        self.order = order
        self.orders: list[Order] = []
        grams, counts = np.unique(grams_of(documents, order), return_counts=True)
        for length in range(order, 0, -1):
            self.orders.insert(0, Order(grams, counts))
            if length > 1:
                grams, counts = continuation(grams, documents, length - 1)

    def log_probabilities(self, documents: list[list[int]]) -> np.ndarray:
        """Natural logarithm for every token of every document, in order."""
        grams = grams_of(documents, self.order)
        probabilities = np.full(len(grams), 1 / VOCAB_SIZE)
        for length, order in enumerate(self.orders, start=1):
            suffixes = grams & ((1 << (BITS * length)) - 1)
            probabilities = order.probabilities(suffixes, probabilities)
        return np.log(probabilities)


def grams_of(documents: list[list[int]], order: int) -> np.ndarray:
    """One gram per token: the token with the order - 1 tokens before it."""
    padding = [START] * (order - 1)
    row = np.array([token for document in documents for token in padding + document], dtype=np.int64)
    grams = np.zeros(len(row), dtype=np.int64)
    for back in range(order):
        grams[back:] |= row[: len(row) - back] << (BITS * back)
    return grams[row != START]


def continuation(longer: np.ndarray, documents, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Grams one shorter, counted by their distinct left neighbours.

    A gram that begins with START has one neighbour only and keeps its number of occurrences.
    """
    grams, counts = np.unique(longer & ((1 << (BITS * length)) - 1), return_counts=True)
    begins = (grams >> (BITS * (length - 1))) == START
    if begins.any():
        seen, occurrences = np.unique(grams_of(documents, length), return_counts=True)
        counts[begins] = occurrences[np.searchsorted(seen, grams[begins])]
    return grams, counts


def discounts_of(counts: np.ndarray) -> np.ndarray:
    """[0, D(1), D(2), D(3+)]."""
    once, twice, thrice, four_times = ((counts == number).sum() for number in (1, 2, 3, 4))
    share = once / (once + 2 * twice)
    discounts = [
        1 - 2 * share * twice / once,
        2 - 3 * share * thrice / twice,
        3 - 4 * share * four_times / thrice,
    ]
    return np.array([0.0, *discounts])


def find(ordered: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(an index for each wanted value, whether it is really there)."""
    at = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    return at, ordered[at] == wanted
