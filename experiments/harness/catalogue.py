"""The catalogue of experiments: a folder per chapter, a file per experiment, and presets of experiments."""

import ast
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from experiments.harness.configuration import Config
from experiments.harness.errors import unknown

FOLDER = Path(__file__).parents[1]
CHAPTERS = (
    "neurons",
    "optimization",
    "regularization",
    "vision",
    "dense",
    "interpret",
    "sequences",
    "attention",
    "embeddings",
    "generative",
    "applications",
    "rl",
    "deployment",
)
"""The chapters, in reading order."""
OTHER_FILES = ("__init__", "drawings")
"""Files of a chapter that are not experiments."""


class Preset(NamedTuple):
    """An experiment under another name, with the settings that its ``PRESETS`` hold under that name."""

    experiment: str
    summary: str


PRESETS = {
    "lenet_digits": Preset("image_classification", "LeNet-5 on scikit-learn's handwritten digits."),
    "catch_pixels": Preset("deep_q_learning", "A convolutional network learns the pixel game catch."),
    "grid_world": Preset("policy_gradient", "A policy learns to walk around pits in a grid world where it slips."),
    "lenet_mnist": Preset("image_classification", "LeNet-5 on MNIST, or on Fashion-MNIST with --data fashion_mnist."),
    "mlp_digits": Preset("image_classification", "A multi-layer perceptron on scikit-learn's handwritten digits."),
}


class Experiment(NamedTuple):
    """An experiment that can be run.

    Attributes:
        default: the configuration that flags change.
        run: ``run(config, run) -> result``.
        goal: the least (for a name that ends in ``loss`` or ``error``, the largest) value of results.
        claims: the numbers of the claims that it tests.
        make_sampler: ``make_sampler(config, count)`` returns the function ``sample(variables, key)`` that draws images
            ``[count, H, W, C]`` from 0 to 1; None where there is nothing to sample.
        make_chat: ``make_chat(config, directory, variables)`` returns the function from the turns of a dialogue, each a
            list of words, to the words of the answer; None where there is no dialogue.
    """

    default: Config
    run: Callable[[Any, Any], dict[str, Any]]
    goal: dict[str, float]
    claims: tuple[int, ...]
    make_sampler: Callable[[Any, int], Callable[[Any, Any], Any]] | None = None
    make_chat: Callable[[Any, Path, Any], Callable[[list[list[str]]], list[str]]] | None = None


def chapters() -> dict[str, list[str]]:
    """Return the names of each chapter's experiments, every one followed by its presets."""
    found = {}
    for chapter in CHAPTERS:
        files = sorted(path.stem for path in (FOLDER / chapter).glob("*.py") if path.stem not in OTHER_FILES)
        found[chapter] = [name for stem in files for name in (stem, *presets_of(stem))]
    return found


def presets_of(name: str) -> list[str]:
    """Return the names of an experiment's presets."""
    return sorted(preset for preset, (experiment, _) in PRESETS.items() if experiment == name)


def names() -> list[str]:
    """Return the names of all experiments and presets."""
    return sorted(name for members in chapters().values() for name in members)


def chapter_of(name: str) -> str:
    """Return the chapter of an experiment.

    Raises:
        UsageError: the experiment is unknown.
    """
    for chapter, members in chapters().items():
        if name in members:
            return chapter
    raise unknown("experiment", name, names())


def source(name: str) -> str:
    """Read an experiment's file without importing it."""
    stem = PRESETS[name].experiment if name in PRESETS else name
    return (FOLDER / chapter_of(name) / f"{stem}.py").read_text()


def header(name: str) -> str:
    """Read the docstring of an experiment without importing it; make that of a preset."""
    if name in PRESETS:
        preset = PRESETS[name]
        return f"{preset.summary}\n\n    python -m experiments run {name}\n\nA preset of {preset.experiment}."
    return ast.get_docstring(ast.parse(source(name))) or ""


def title(chapter: str) -> str:
    """Read the title of a chapter, the docstring of its package."""
    return ast.get_docstring(ast.parse((FOLDER / chapter / "__init__.py").read_text())) or ""


def less_is_better(measure: str) -> bool:
    """Return whether the goal of a result is its largest value: that of a loss or an error.

    >>> less_is_better("held_out_loss"), less_is_better("accuracy")
    (True, False)
    """
    return measure.endswith(("loss", "error"))


def load(name: str) -> Experiment:
    """Import an experiment or the experiment of a preset.

    Its module has ``Config``, a frozen dataclass, and ``run(config, run) -> result``; it may have ``GOAL`` and
    ``CLAIMS``, ``make_sampler``, ``make_chat``, and ``PRESETS``, which maps names to pairs of settings and a goal.
    """
    stem = PRESETS[name].experiment if name in PRESETS else name
    module = importlib.import_module(f"experiments.{chapter_of(name)}.{stem}")
    settings, goal = module.PRESETS[name] if name in PRESETS else ({}, getattr(module, "GOAL", {}))
    claims, make_sampler = getattr(module, "CLAIMS", ()), getattr(module, "make_sampler", None)
    make_chat = getattr(module, "make_chat", None)
    return Experiment(module.Config(**settings), module.run, goal, claims, make_sampler, make_chat)
