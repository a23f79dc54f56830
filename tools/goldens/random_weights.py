"""Counter-based random weights: element i of a tensor depends on its name, i and the seed alone.

README.md states the formula; a TypeScript implementation gives the same bits.
"""

import numpy as np

GAIN = 1.5
NORM_SPREAD = 0.2


def fnv1a32(text: str) -> int:
    """The FNV-1a hash of the UTF-8 bytes."""
    value = 0x811C9DC5
    for byte in text.encode("utf-8"):
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def mix32(values: np.ndarray) -> np.ndarray:
    """A bijection of 32-bit words in which every input bit moves every output bit."""
    x = np.asarray(values, dtype=np.uint32).copy()
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return x


def stream_key(name: str, seed: int) -> np.uint32:
    seed_word = mix32(np.array([(seed + 0x9E3779B9) & 0xFFFFFFFF], dtype=np.uint32))
    return mix32(seed_word ^ np.uint32(fnv1a32(name)))[0]


def random_words(name: str, seed: int, indices: np.ndarray) -> np.ndarray:
    """One 32-bit word per index."""
    key = np.array([stream_key(name, seed)], dtype=np.uint32)
    return mix32(mix32(np.asarray(indices, dtype=np.uint32)) + key)


def random_units(name: str, seed: int, indices: np.ndarray) -> np.ndarray:
    """Multiples of 2^-23 in [-1, 1), as f64."""
    words = random_words(name, seed, indices) >> np.uint32(8)
    return (words.astype(np.float64) - 2.0**23) / 2.0**23


def random_tensor(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """f32 values that bf16 holds exactly, of the given shape.

    Tensors of one dimension are norm weights, around 1; in all others a row of the last dimension
    times a vector of unit variance has the standard deviation GAIN.
    """
    return random_elements(name, shape, seed, np.arange(int(np.prod(shape)))).reshape(shape)


def random_elements(
    name: str, shape: tuple[int, ...], seed: int, indices: np.ndarray
) -> np.ndarray:
    """Single elements of `random_tensor`; indices count row by row."""
    units = random_units(name, seed, indices)
    if len(shape) == 1:
        return round_to_bfloat16(1.0 + NORM_SPREAD * units)
    return round_to_bfloat16(GAIN * np.sqrt(3.0 / shape[-1]) * units)


def round_to_bfloat16(values: np.ndarray) -> np.ndarray:
    """f64 → f32 → bf16, each to the nearest, ties to even; returned as f32."""
    bits = np.asarray(values, dtype=np.float64).astype(np.float32).view(np.uint32)
    tie_to_even = (bits >> np.uint32(16)) & np.uint32(1)
    rounded = (bits + np.uint32(0x7FFF) + tie_to_even) & np.uint32(0xFFFF0000)
    return rounded.view(np.float32)
