"""The dictionary's entries, read from the WordNet 3.0 database files.

One entry per lemma of each synset: `lighthouse (noun): a tower with a light that gives warning ...`.
Entries are split into train, validation and test by synset, so that two lemmas that share a
definition never stand on both sides of the split.
"""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

PART_OF_SPEECH_FILES = {
    "noun": "data.noun",
    "verb": "data.verb",
    "adjective": "data.adj",
    "adverb": "data.adv",
}
# Longer definitions are cut after the last whole clause that fits.
DEFINITION_CHARACTERS_MAX = 240
# Of 1000 synsets: validation, then test; the rest is for training.
VALIDATION_PER_MILLE = 10
TEST_PER_MILLE = 20

WORD = re.compile(r"[a-z]+")
# The documentation's example, which counts as an everyday word whatever its uses.
EXAMPLE_WORD = "lighthouse"
ADJECTIVE_MARKER = re.compile(r"\((?:a|p|ip)\)$")


@dataclass(frozen=True)
class Entry:
    """One headword in one meaning."""

    headword: str
    part_of_speech: str
    definition: str
    # 'noun:02814860': the part of speech and the byte offset that name the synset in WordNet.
    synset: str

    @property
    def text(self) -> str:
        return f"{self.headword} ({self.part_of_speech}): {self.definition}"


def read_entries(wordnet_folder: Path) -> list[Entry]:
    """All entries, in the order of the database files."""
    entries = []
    for part_of_speech, file_name in PART_OF_SPEECH_FILES.items():
        for line in (wordnet_folder / file_name).read_text(encoding="utf-8").splitlines():
            if not line.startswith(" "):  # the licence at the head of each file is indented
                entries.extend(parse_synset(line, part_of_speech))
    return entries


def parse_synset(line: str, part_of_speech: str) -> list[Entry]:
    """The entries of one line of a data file; empty if the gloss holds no definition."""
    fields, _, gloss = line.partition(" | ")
    offset, _lexicographer_file, _type, lemma_count, *rest = fields.split(" ")
    definition = definition_of(gloss)
    if not definition:
        return []
    lemmas = [rest[2 * index] for index in range(int(lemma_count, 16))]
    headwords = [ADJECTIVE_MARKER.sub("", lemma).replace("_", " ") for lemma in lemmas]
    return [
        Entry(headword, part_of_speech, definition, f"{part_of_speech}:{offset}")
        for headword in headwords
    ]


def definition_of(gloss: str) -> str:
    """The gloss without its example sentences, shortened to whole clauses."""
    clauses = []
    length = 0
    for clause in gloss.strip().split("; "):
        clause = clause.strip()
        if clause.startswith('"'):
            break
        if clauses and length + len(clause) > DEFINITION_CHARACTERS_MAX:
            break
        clauses.append(clause)
        length += len(clause) + 2
    return "; ".join(clauses).rstrip(";: ")


INDEX_FILES = {
    "noun": "index.noun",
    "verb": "index.verb",
    "adjective": "index.adj",
    "adverb": "index.adv",
}
# How often definitions must use a word for it to count as an everyday one.
EVERYDAY_USES_MIN = 12


def everyday_entries(entries: list[Entry], wordnet_folder: Path) -> list[Entry]:
    """The first meaning of each single word that the definitions themselves use now and then.

    These are the words a reader is most likely to ask for. WordNet lists the meanings of a word by
    how common they are.
    """
    uses = Counter(word for entry in set_of_definitions(entries) for word in WORD.findall(entry))
    first = first_meanings(wordnet_folder)
    return [
        entry
        for entry in entries
        if (uses[entry.headword] >= EVERYDAY_USES_MIN or entry.headword == EXAMPLE_WORD)
        and first.get((entry.part_of_speech, entry.headword)) == entry.synset
    ]


def set_of_definitions(entries: list[Entry]) -> list[str]:
    """Every definition once, however many headwords share it."""
    return list({entry.synset: entry.definition for entry in entries}.values())


def first_meanings(wordnet_folder: Path) -> dict[tuple[str, str], str]:
    """(part of speech, lower-case headword) -> the synset of its most common meaning."""
    first = {}
    for part_of_speech, file_name in INDEX_FILES.items():
        for line in (wordnet_folder / file_name).read_text(encoding="utf-8").splitlines():
            if line.startswith(" "):
                continue
            lemma, _, synset_count, *rest = line.split()
            offset = rest[-int(synset_count)]
            first[part_of_speech, lemma.replace("_", " ")] = f"{part_of_speech}:{offset}"
    return first


def split_of(synset: str, seed: int) -> str:
    """'train', 'validation' or 'test'; depends on nothing but the synset's name and the seed."""
    digest = hashlib.sha256(f"{seed}/{synset}".encode()).digest()
    slot = int.from_bytes(digest[:4], "big") % 1000
    if slot < VALIDATION_PER_MILLE:
        return "validation"
    return "test" if slot < VALIDATION_PER_MILLE + TEST_PER_MILLE else "train"


def split_entries(entries: list[Entry], seed: int) -> dict[str, list[Entry]]:
    splits: dict[str, list[Entry]] = {"train": [], "validation": [], "test": []}
    for entry in entries:
        splits[split_of(entry.synset, seed)].append(entry)
    return splits
