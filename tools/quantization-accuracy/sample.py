"""Writes held-out.txt: every fourth entry of the split that the built-in model was not trained on.

    PYTHONPATH=../demo-model python sample.py        # needs wordnet-base, as tools/demo-model does
"""

import argparse
from pathlib import Path

from corpus import read_entries, split_entries

SPLIT_SEED = 1
STEP = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    options = parser.parse_args()
    held_out = split_entries(read_entries(options.wordnet), SPLIT_SEED)["test"]
    lines = [entry.text for entry in held_out[::STEP]]
    Path(__file__).with_name("held-out.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
