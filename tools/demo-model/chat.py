"""Conversations about the dictionary, in the very form that the chat template renders."""

import random

from corpus import Entry

END = "<|endoftext|>"
PAD = "<|pad|>"
USER = "<|user|>"
ASSISTANT = "<|assistant|>"
SPECIAL_TOKENS = [END, PAD, USER, ASSISTANT]

# The model knows questions and entries, nothing else: system messages are left out, and of a long
# conversation only the last seven messages are shown, which fit its 512 positions.
CHAT_TEMPLATE = (
    "{%- for message in messages[-7:] -%}"
    "{%- if message['content'] is string -%}"
    "{%- set text = message['content'] | trim -%}"
    "{%- else -%}"
    "{%- set text = message['content'] | map(attribute='text') | join(' ') | trim -%}"
    "{%- endif -%}"
    "{%- if message['role'] == 'user' -%}"
    "{{- '" + USER + "' + text -}}"
    "{%- elif message['role'] == 'assistant' -%}"
    "{{- '" + ASSISTANT + "' + text + '" + END + "' -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '" + ASSISTANT + "' -}}{%- endif -%}"
)

TURNS = [1, 1, 1, 1, 2, 2, 3]


def question_about(entry: Entry, generator: random.Random) -> str:
    """One of the ways in which a reader asks for this entry."""
    word = entry.headword
    forms = [f"What does {word} mean?", f"Define {word}.", word, f"Define {word}", f"{word}?"]
    if entry.part_of_speech == "noun":
        if word[0].isupper():
            forms += [f"What is {word}?", f"Who is {word}?", f"What is {word}?"]
        else:
            article = "an" if word[0] in "aeiou" else "a"
            forms += [f"What is {article} {word}?"] * 3 + [f"What is {word}?"] * 2
            forms += [f"what is {article} {word}", f"What's {article} {word}?"]
    elif entry.part_of_speech == "verb":
        forms += [f"What does it mean to {word}?", f"What does to {word} mean?"]
    else:
        forms += [f"What is {word}?", f"What does it mean to be {word}?"]
    return generator.choice(forms)


def turn_about(entry: Entry, generator: random.Random) -> tuple[str, str]:
    """(what stands before the answer, the answer and the end of the turn)."""
    answer = f"{entry.part_of_speech}: {entry.definition}"
    return f"{USER}{question_about(entry, generator)}{ASSISTANT}", f"{answer}{END}"
