"""Words for the raw keys of results: readable labels with units, and tables where keys form a grid."""

import math
import tomllib
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

WORDS = tomllib.loads((Path(__file__).parent / "gallery.toml").read_text())


class Label(NamedTuple):
    """A readable name and its unit, which may be empty."""

    text: str
    unit: str


class Grid(NamedTuple):
    """Keys that are joined of a head and a tail: every head occurs with every tail."""

    heads: list[str]
    tails: list[str]


def title(name: str) -> str:
    """Return the title of an experiment."""
    return WORDS["titles"].get(name, name.replace("_", " ").capitalize())


def caption(name: str, picture: str) -> str:
    """Return the caption of a figure."""
    stem = picture.removesuffix(".png")
    found = WORDS["captions"].get(name, {})
    fallback = WORDS["captions"]["all"].get(stem, f"{stem.replace('_', ' ').capitalize()}.")
    return found.get(stem, fallback)


def thumbnail(name: str, pictures: list[str]) -> str:
    """Return the figure for the card of an experiment."""
    chosen = f"{WORDS['thumbnails'].get(name, '')}.png"
    return chosen if chosen in pictures else pictures[0]


def label(name: str, key: str) -> Label:
    """Return the label of a result's key, by the longest phrases that are declared."""
    phrases = WORDS["labels"]["all"] | WORDS["labels"].get(name, {})
    words, texts, unit = key.split("_"), [], ""
    while words:
        for size in range(len(words), 0, -1):
            phrase = "_".join(words[:size])
            found = phrases.get(phrase, phrases.get(phrase.lower()))
            if found is not None or size == 1:
                text, _, own = (found or phrase).partition(" | ")
                texts, unit, words = [*texts, text], unit or own, words[size:]
                break
    return Label(" ".join(texts).strip(" ,:"), unit)


def number(value: float, unit: str = "") -> str:
    """Return a number as readers expect it: shares in percent, counts with separators, others with four digits."""
    if not math.isfinite(value):
        return "never" if value > 0 else "not a number"
    if unit == "%":
        return f"{100 * value:.4g}"
    if float(value).is_integer() and abs(value) < 1e12:
        return f"{int(value):,}".replace("-", "−")
    if abs(value) >= 1e4:
        return f"{value:,.0f}"
    if abs(value) < 1e-3:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa}\N{NO-BREAK SPACE}·\N{NO-BREAK SPACE}10<sup>{int(exponent)}</sup>".replace("-", "−")
    return f"{value:.4g}".replace("-", "−")


def grids(keys: list[str]) -> tuple[list[Grid], list[str]]:
    """Split keys into grids, the largest first, and a rest."""
    found, rest = [], list(keys)
    while (grid := _largest_grid(rest)) is not None:
        found.append(grid)
        used = {f"{head}_{tail}" for head in grid.heads for tail in grid.tails}
        rest = [key for key in rest if key not in used]
    return found, rest


def _largest_grid(keys: list[str]) -> Grid | None:
    """Return the grid of the most keys, among them the most square one, if it has at least two rows and columns."""
    tails: dict[str, dict[str, None]] = {}
    for key in keys:
        words = key.split("_")
        for cut in range(1, len(words)):
            tails.setdefault("_".join(words[:cut]), {})["_".join(words[cut:])] = None
    best, score = None, (4, 1)
    for first, second in combinations(tails, 2):
        shared = [tail for tail in tails[first] if tail in tails[second]]
        if len(shared) < 2:
            continue
        heads = [head for head, own in tails.items() if all(tail in own for tail in shared)]
        size = (len(heads) * len(shared), min(len(heads), len(shared)))
        if size > score:
            best, score = Grid(heads, shared), size
    return best
