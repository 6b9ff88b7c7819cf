"""Dialogues in which a table is booked: all that was said determines the answer; and dialogues from TSV files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.harness.errors import UsageError, preparing
from jaxdl import data
from jaxdl.data.files.opening import read_plain_text
from jaxdl.data.text import words
from jaxdl.data.vocabulary import Vocabulary

Dialogue = list[list[str]]
"""The words of every turn; the user begins, and the turns alternate."""
SLOTS = {
    "people": ("two", "three", "four", "five", "six", "seven"),
    "cuisine": ("italian", "indian", "french", "thai", "greek", "mexican"),
    "area": ("north", "south", "east", "west", "centre"),
    "day": ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    "time": ("noon", "one", "eight", "nine", "ten"),
}
"""The values of every slot, in the order in which the assistant asks for them."""
FORMS = {
    "people": ("for {} people", "we are {}"),
    "cuisine": ("{} food", "we like {} food"),
    "area": ("in the {}", "somewhere in the {}"),
    "day": ("on {}", "it is for {}"),
    "time": ("at {}", "we come at {}"),
}
ASKED = {
    "people": "for how many people ?",
    "cuisine": "what kind of food ?",
    "area": "in which part of the town ?",
    "day": "on which day ?",
    "time": "at what time ?",
}
CONFIRMED = "a table for {people} , {cuisine} food , in the {area} , on {day} at {time} . is that right ?"
BOOKED = "your table is booked ."
SEPARATOR = "|"


def draw_dialogue(generator: np.random.Generator) -> Dialogue:
    """Draw a dialogue: the user gives one to three slots at a time and changes some values, before or at the end."""
    known: dict[str, str] = {}
    turns = []
    while True:
        missing = [slot for slot in SLOTS if slot not in known]
        if (missing and generator.random() < 0.85) or not known:
            # What was asked for, and perhaps more.
            rest = list(generator.permutation(missing[1:]))[: generator.integers(3)]
            given, prefix = [missing[0], *map(str, rest)], "" if known else "i want a table"
            given = given if known else [str(slot) for slot in generator.permutation(given)]
        else:
            given, prefix = [str(generator.choice(list(known)))], str(generator.choice(["no ,", "sorry , make it"]))
        said = [prefix] if prefix else []
        for slot in given:
            others = [value for value in SLOTS[slot] if value != known.get(slot)]
            known[slot] = str(generator.choice(others))
            said.append(str(generator.choice(FORMS[slot])).format(known[slot]))
        turns += [" ".join(said), answer(known)]
        if len(known) == len(SLOTS) and generator.random() < 0.6:
            return [turn.split() for turn in (*turns, str(generator.choice(["yes", "yes please"])), BOOKED)]


def answer(known: dict[str, str]) -> str:
    """Ask for the first slot that is missing, or repeat all values.

    >>> answer({"people": "two", "area": "north"})
    'what kind of food ?'
    """
    missing = [slot for slot in SLOTS if slot not in known]
    return ASKED[missing[0]] if missing else CONFIRMED.format(**known)


def draw_dialogues(seed: int, count: int) -> list[Dialogue]:
    """Draw dialogues."""
    generator = np.random.default_rng(seed)
    return [draw_dialogue(generator) for _ in range(count)]


def read_dialogues(path: Path) -> list[Dialogue]:
    """Read dialogues from a TSV file: one a line, with a turn in each column; the user begins.

    Raises:
        UsageError: a line has less than two turns, or there are fewer than 10 lines.
    """
    with preparing():
        lines = [line for line in read_plain_text(path).splitlines() if line.strip()]
    dialogues = [[words(turn.lower()) for turn in line.split("\t") if turn.strip()] for line in lines]
    for number, dialogue in enumerate(dialogues, 1):
        if len(dialogue) < 2:
            raise UsageError(f"{path}: expected at least 2 turns in dialogue {number}, got {len(dialogue)}")
    if len(dialogues) < 10:
        raise UsageError(f"{path}: expected at least 10 dialogues, got {len(dialogues)}")
    return dialogues


def exchanges(dialogues: Sequence[Dialogue], turns: int) -> list[tuple[Dialogue, list[str]]]:
    """List all answers of the assistant, each with at most ``turns`` turns before it."""
    return [
        (dialogue[max(0, end - turns) : end], dialogue[end])
        for dialogue in dialogues
        for end in range(1, len(dialogue), 2)
    ]


def join(turns: Dialogue) -> list[str]:
    """Join turns to one text with separators."""
    return [word for turn in turns for word in (SEPARATOR, *turn)]


def encode_turns(
    contexts: Sequence[Dialogue], vocabulary: Vocabulary, turns: int, longest: int
) -> tuple[np.ndarray, np.ndarray]:
    """Encode the last turns as sentences ``[N, turns, longest]``, long ones cut, with the lengths ``[N, turns]``."""
    tokens, lengths = np.zeros((len(contexts), turns, longest), np.int32), np.zeros((len(contexts), turns), np.int32)
    for row, context in enumerate(contexts):
        for number, turn in enumerate(context[-turns:]):
            ids = vocabulary.encode(turn[:longest])
            tokens[row, number, : len(ids)], lengths[row, number] = ids, len(ids)
    return tokens, lengths


def encode_texts(contexts: Sequence[Dialogue], vocabulary: Vocabulary, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Encode contexts as texts with separators, of which the last ``longest`` words are kept."""
    return data.pad([vocabulary.encode(join(context)[-longest:]) for context in contexts], longest)


def slot_shares(own: Sequence[Sequence[str]], true: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return the share of right slot values in confirmations, and of confirmations with all of them."""
    values = {value for options in SLOTS.values() for value in options}
    rows = [
        [a == b for a, b in zip([*mine, *[""] * len(answer)], answer, strict=False) if b in values]
        for mine, answer in zip(own, true, strict=True)
    ]
    rows = [row for row in rows if len(row) == len(SLOTS)]
    if not rows:
        return {}
    return {"slot_accuracy": float(np.mean(rows)), "joint_accuracy": float(np.mean([all(row) for row in rows]))}
