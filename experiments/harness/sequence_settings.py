"""Settings that experiments on sequences share: independent runs with Adam, on new or on given examples."""

from dataclasses import dataclass
from typing import ClassVar

from experiments.harness.configuration import Config, at_least, positive


@dataclass(frozen=True)
class OnNewSequences(Config):
    """Independent runs with Adam on new sequences in every update."""

    LEAST_SEEDS: ClassVar[int] = 2

    seeds: int = 8
    """Independent runs of each network."""
    steps: int = 1500
    """Updates."""
    batch_size: int = 20
    """Sequences in a batch, always new."""
    learning_rate: float = 0.01
    """Learning rate of Adam."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, seeds=self.LEAST_SEEDS, steps=1, batch_size=1)
        positive(self, "learning_rate")


@dataclass(frozen=True)
class OnExamples(Config):
    """Independent runs with Adam and a cosine decay, on the same batches of training examples."""

    LEAST_SEEDS: ClassVar[int] = 1

    seeds: int = 2
    """Independent runs of each network."""
    epochs: float = 5.0
    """Passes over the training examples."""
    batch_size: int = 64
    """Examples in an update."""
    learning_rate: float = 3e-3
    """Learning rate of Adam, with a cosine decay."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, seeds=self.LEAST_SEEDS, batch_size=1)
        positive(self, "epochs", "learning_rate")
