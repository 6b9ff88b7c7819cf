"""Settings that experiments on sequences share: independent runs with Adam, on new or on given examples."""

from dataclasses import dataclass
from typing import ClassVar

from experiments.harness.configuration import Config


@dataclass(frozen=True)
class OnNewSequences(Config):
    """Independent runs with Adam on new sequences in every update."""

    LEAST: ClassVar[dict[str, int]] = {"seeds": 2, "steps": 1, "batch_size": 1}
    POSITIVE: ClassVar[tuple[str, ...]] = ("learning_rate",)

    seeds: int = 8
    """Independent runs of each network."""
    steps: int = 1500
    """Updates."""
    batch_size: int = 20
    """Sequences in a batch, always new."""
    learning_rate: float = 0.01
    """Learning rate of Adam."""


@dataclass(frozen=True)
class OnExamples(Config):
    """Independent runs with Adam and a cosine decay, on the same batches of training examples."""

    LEAST: ClassVar[dict[str, int]] = {"seeds": 1, "batch_size": 1}
    POSITIVE: ClassVar[tuple[str, ...]] = ("epochs", "learning_rate")

    seeds: int = 2
    """Independent runs of each network."""
    epochs: float = 5.0
    """Passes over the training examples."""
    batch_size: int = 64
    """Examples in an update."""
    learning_rate: float = 3e-3
    """Learning rate of Adam, with a cosine decay."""
