"""Reports of events with their summaries, whose names and numbers are new in every report; and summaries of a table."""

import ast
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.harness.errors import preparing
from jaxdl import data
from jaxdl.data.sources.python_code import standard_library
from jaxdl.data.text import words
from jaxdl.data.vocabulary import Vocabulary

Report = tuple[list[str], list[str]]
"""The words of a document and of its summary."""
EVENTS = {
    "final": (
        ("{a} beat {b} in the {sport} final of {place} .", "in {place} , {a} won the {sport} final against {b} ."),
        ("the winner had {n} points , {k} more than the loser .", "with {n} points , the winner was {k} ahead ."),
        ("{c} , who trains {b} , hopes for the next year .", "{b} left the hall without a word to {c} ."),
        "{a} wins {sport} final of {place} with {n} points",
    ),
    "election": (
        ("{a} is the new mayor of {place} .", "the people of {place} chose {a} as their mayor ."),
        ("the new mayor got {n} votes , and {b} got {k} .", "{b} lost with {k} votes against {n} ."),
        ("{c} had been mayor for many years .", "the mayor before , {c} , will travel ."),
        "{a} becomes mayor of {place} after {n} votes",
    ),
    "fire": (
        ("a fire destroyed the {building} of {place} .", "the {building} of {place} burned down ."),
        ("{n} people were inside and all are safe .", "firemen led all {n} people outside , after {k} minutes ."),
        ("{a} of the police asks {c} about the cause .", "the cause is unknown , says {a} ."),
        "fire destroys {building} of {place} , {n} people safe",
    ),
    "sale": (
        ("the {trade} company {a} buys {b} .", "{b} now belongs to the {trade} company {a} ."),
        (
            "the price is {n} million , and {k} people work there .",
            "{a} pays {n} million for {k} people .",
        ),
        ("{c} , the owner before , will stay in {place} .", "in {place} , {c} signed the papers ."),
        "{trade} company {a} buys {b} for {n} million",
    ),
}
"""For each kind of event: two forms of the main sentence, of the numbers and of a third sentence; and the summary."""
CHOICES = {
    "sport": ("chess", "tennis", "rowing", "fencing"),
    "building": ("theatre", "school", "library", "station"),
    "trade": ("paper", "steel", "toy", "cheese"),
}
NOISE = (
    "it was {adjective} that day , with {k} degrees .",
    "the bus of {c} came {k} minutes late .",
    "{c} sold {k} cups of tea .",
)
ADJECTIVES = ("cold", "warm", "rainy", "windy")


def draw_reports(seed: int, count: int) -> list[Report]:
    """Draw reports of two events of different kinds, each of three sentences and one about something else.

    Sentences about an event are in any order; names and numbers are drawn anew. The summary has a clause for each event
    in the order of the report, and omits most of its names and numbers.
    """
    generator, reports = np.random.default_rng(seed), []
    for _ in range(count):
        document, clauses = [], []
        for kind in generator.permutation(list(EVENTS))[:2]:
            *facts, summary = EVENTS[str(kind)]
            values = draw_values(generator)
            sentences = [fact[generator.integers(len(fact))].format(**values) for fact in facts]
            noise = NOISE[generator.integers(len(NOISE))].format(**draw_values(generator))
            sentences.insert(int(generator.integers(4)), noise)
            first = sentences.pop(0)
            document += [first, *generator.permutation(sentences)]
            clauses.append(summary.format(**values))
        reports.append((" ".join(document).split(), " ; ".join(clauses).split()))
    return reports


def draw_values(generator: np.random.Generator) -> dict[str, str]:
    """Draw what the templates leave open."""
    values = {name: str(generator.choice(options)) for name, options in CHOICES.items()}
    values |= {name: draw_name(generator) for name in ("a", "b", "c", "place")}
    numbers = generator.choice(np.arange(100, 10_000), 2, replace=False)
    return values | {"n": str(numbers[0]), "k": str(numbers[1]), "adjective": str(generator.choice(ADJECTIVES))}


def draw_name(generator: np.random.Generator) -> str:
    """Draw a name of three syllables, one of 75 cubed."""
    return "".join(generator.choice(list(letters)) for letters in ("bdfgklmnprstvwz", "aeiou") * 3)


def read_reports(path: Path, longest: int) -> list[Report]:
    """Read documents and summaries from a TSV file; documents are cut to ``longest`` words.

    Raises:
        UsageError: the file does not have two columns.
    """
    with preparing():
        pairs = data.read_parallel_table(path)
    return [(words(document.lower())[:longest], words(summary.lower())) for document, summary in pairs]


def read_docstrings(longest: int, most: int = 16) -> list[Report]:
    """Read the functions of the standard library's modules: their code, and the first line of their docstring.

    The code is cut to ``longest`` words; lines of more than ``most`` words and functions without code are left out.
    """
    found: dict[tuple[str, ...], list[str]] = {}
    for path in standard_library():
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or len(node.body) < 2:
                continue
            summary = words((ast.get_docstring(node) or "").partition("\n")[0].lower())
            code = "\n".join(lines[node.body[1].lineno - 1 : node.end_lineno])
            if 2 <= len(summary) <= most:
                arguments = [argument.arg for argument in node.args.args]
                found[tuple(words(" ".join([node.name, *arguments, code]).lower())[:longest])] = summary
    return [(list(code), summary) for code, summary in found.items()]


def encode_reports(
    reports: Sequence[Report], vocabulary: Vocabulary, extra_size: int, sizes: tuple[int, int]
) -> tuple[dict[str, np.ndarray], list[Vocabulary]]:
    """Encode reports as the arrays of the task, and return the vocabulary of each, extended by its unknown words."""
    extended = [vocabulary.extend(document, extra_size) for document, _ in reports]
    rows = list(zip(extended, reports, strict=True))
    source, source_length = data.pad([own.encode(document) for own, (document, _) in rows], sizes[0])
    target, target_length = data.pad([own.encode(summary, add_eos=True) for own, (_, summary) in rows], sizes[1] + 1)
    arrays = {"source": source, "source_length": source_length, "target": target, "target_length": target_length}
    return arrays, extended


def copied_share(own: Sequence[Sequence[str]], reports: Sequence[Report], vocabulary: Vocabulary) -> float:
    """Return the share of the words of true summaries outside of the vocabulary that are in one's own summaries."""
    found = [
        word in summary
        for summary, (_, true) in zip(own, reports, strict=True)
        for word in true
        if word not in vocabulary
    ]
    return float(np.mean(found)) if found else float("nan")
