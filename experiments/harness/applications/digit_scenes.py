"""Scenes of coloured digits with questions and answers, from images of handwritten digits."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import jax.numpy as jnp
import numpy as np

from experiments.harness.applications.scenes import COLOURS
from experiments.harness.configuration import Config
from experiments.harness.errors import preparing
from jaxdl import data
from jaxdl.data.vocabulary import Vocabulary
from jaxdl.typing import Array

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COUNTS = (2, 3, 4)
SIDE, OBJECT = 32, 12
"""Height and width of a picture, and of a digit in it."""
T = TypeVar("T")


@dataclass(frozen=True)
class OnDigits(Config):
    """Pictures or videos with handwritten digits."""

    data: Literal["digits", "mnist"] = "digits"
    """Data set of the digits."""
    data_dir: Path | None = None
    """Folder with the files of MNIST."""


class Placed(NamedTuple):
    """A digit of a scene: its value, its colour and its upper left corner."""

    digit: int
    colour: str
    place: tuple[int, int]


class Questions(NamedTuple):
    """Questions about pictures.

    Attributes:
        images: ``[N, SIDE, SIDE, 3]``, bytes.
        questions: the words of each question.
        answers: one word each.
        kinds: the names of the types of the questions.
    """

    images: np.ndarray
    questions: list[list[str]]
    answers: list[str]
    kinds: np.ndarray


def read_digits(config: OnDigits, size: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return images ``[N, size, size]`` and labels of scikit-learn's digits or of MNIST, for training and for testing.

    The first 6,000 and 2,000 images of MNIST are read.
    """
    with preparing():
        dataset = data.digits(size=size) if config.data == "digits" else data.mnist(config.data_dir)
    parts = []
    for part, most in ((dataset.train, 6000), (dataset.test, 2000)):
        images = part["image"][:most]
        images = images if images.shape[1] == size else data.resize(images, (size, size))
        parts.append({"image": np.asarray(images[..., 0], np.float32), "label": part["label"][:most]})
    return parts[0], parts[1]


def draw_parts(
    config: OnDigits, size: int, draw: Callable[[int, int, dict[str, np.ndarray]], T], *counts: int
) -> list[T]:
    """Draw examples of the training and of the test, with images of other digits: ``draw(seed, count, digits)``."""
    parts = zip(counts, read_digits(config, size), strict=True)
    return [draw(config.seed + n, count, digits) for n, (count, digits) in enumerate(parts)]


def to_numbers(x: np.ndarray | Array) -> Array:
    """Scale bytes from 0 to 1."""
    return jnp.asarray(x, jnp.float32) / 255


def draw_questions(seed: int, count: int, digits: dict[str, np.ndarray]) -> Questions:
    """Draw scenes of two to four digits of different values and colours, and a question about each.

    The types of questions are equally frequent, and so are yes and no.
    """
    generator = np.random.default_rng(seed)
    images = generator.normal(0.15, 0.05, (count, SIDE, SIDE, 1)).repeat(3, axis=-1)
    rows = {value: np.flatnonzero(digits["label"] == value) for value in range(10)}
    questions, answers, kinds = [], [], []
    for image in images:
        corners = draw_corners(generator, int(generator.choice(COUNTS)))
        values, colours = generator.permutation(10), generator.permutation(list(COLOURS))
        scene = [Placed(int(v), str(c), xy) for v, c, xy in zip(values, colours, corners, strict=False)]
        for each in scene:
            ink = digits["image"][generator.choice(rows[each.digit])][..., None]
            y, x = each.place
            part = image[y : y + OBJECT, x : x + OBJECT]
            part[:] = ink * COLOURS[each.colour] + (1 - ink) * part
        kind = str(generator.choice(list(ASK)))
        question, answer = ASK[kind](generator, scene)
        questions.append(question.split())
        answers.append(answer)
        kinds.append(kind)
    return Questions(np.round(255 * np.clip(images, 0, 1)).astype(np.uint8), questions, answers, np.array(kinds))


def draw_corners(generator: np.random.Generator, count: int) -> list[tuple[int, int]]:
    """Draw corners of digits that do not touch, with different rows and columns."""
    corners: list[tuple[int, int]] = []
    while len(corners) < count:
        y, x = (int(n) for n in generator.integers(0, SIDE - OBJECT + 1, 2))
        apart = [max(abs(y - v), abs(x - u)) >= OBJECT and min(abs(y - v), abs(x - u)) >= 2 for v, u in corners]
        if all(apart):
            corners.append((y, x))
        elif generator.random() < 0.02:
            corners = []  # there may be no room left
    return corners


def ask_digit(generator: np.random.Generator, scene: list[Placed]) -> tuple[str, str]:
    """Ask for the value of a digit of a colour."""
    one = scene[generator.integers(len(scene))]
    return f"which digit is {one.colour}", DIGITS[one.digit]


def ask_colour(generator: np.random.Generator, scene: list[Placed]) -> tuple[str, str]:
    """Ask for the colour of a digit."""
    one = scene[generator.integers(len(scene))]
    return f"which colour is the {DIGITS[one.digit]}", one.colour


def ask_count(generator: np.random.Generator, scene: list[Placed]) -> tuple[str, str]:
    """Ask how many digits there are."""
    return "how many digits are there", DIGITS[len(scene)]


def ask_presence(generator: np.random.Generator, scene: list[Placed]) -> tuple[str, str]:
    """Ask whether there is a digit in a colour; half of the answers are yes."""
    there = [one.colour for one in scene]
    is_there = generator.random() < 0.5
    colour = generator.choice(there if is_there else [colour for colour in COLOURS if colour not in there])
    return f"is there a {colour} digit", "yes" if is_there else "no"


def ask_extreme(generator: np.random.Generator, scene: list[Placed]) -> tuple[str, str]:
    """Ask for the digit on one side of all others."""
    side, axis, sign = (("left", 1, 1), ("right", 1, -1), ("top", 0, 1), ("bottom", 0, -1))[generator.integers(4)]
    first = min(scene, key=lambda one: sign * one.place[axis])
    return f"which digit is most to the {side}", DIGITS[first.digit]


def ask_relation(generator: np.random.Generator, scene: list[Placed]) -> tuple[str, str]:
    """Ask whether a digit is above or left of that of a colour."""
    first, second = generator.permutation(len(scene))[:2]
    a, b = scene[first], scene[second]
    word, axis = (("above", 0), ("left of", 1))[generator.integers(2)]
    return f"is the {DIGITS[a.digit]} {word} the {b.colour} digit", "yes" if a.place[axis] < b.place[axis] else "no"


ASK: dict[str, Callable[[np.random.Generator, list[Placed]], tuple[str, str]]] = {
    "digit": ask_digit,
    "colour": ask_colour,
    "count": ask_count,
    "presence": ask_presence,
    "extreme": ask_extreme,
    "relation": ask_relation,
}
"""Types of questions."""


def encode_questions(
    part: Questions, vocabulary: Vocabulary, answers: tuple[str, ...], length: int
) -> dict[str, np.ndarray]:
    """Encode questions as the arrays of the task."""
    token, lengths = data.pad([vocabulary.encode(question) for question in part.questions], length)
    label = np.array([answers.index(answer) for answer in part.answers], np.int32)
    return {"question": token, "length": lengths, "image": part.images, "label": label}
