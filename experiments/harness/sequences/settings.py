"""Settings that experiments on sequences share: independent runs with Adam, on new or on given examples."""

from dataclasses import dataclass

from experiments.harness.configuration import Config, at_least


@dataclass(frozen=True)
class OnNewSequences(Config):
    """Independent runs with Adam on new sequences in every update."""

    SMOKE = {"seeds": 2, "steps": 2, "batch_size": 2}
    LEAST = {"seeds": 2}

    seeds: int = 8
    """Independent runs of each network."""
    steps: int = 1500
    """Updates."""
    batch_size: int = 20
    """Sequences in a batch, always new."""
    learning_rate: float = 0.01
    """Learning rate of Adam."""


@dataclass(frozen=True)
class Reported(OnNewSequences):
    """Runs on new sequences with the accuracy averaged over chunks of updates."""

    SMOKE = {**OnNewSequences.SMOKE, "report_every": 1}

    report_every: int = 50
    """Updates over which the accuracy is averaged."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, steps=self.report_every)

    @property
    def chunks(self) -> int:
        """The number of whole chunks; further updates are left out."""
        return self.steps // self.report_every


@dataclass(frozen=True)
class OnExamples(Config):
    """Independent runs with Adam and a cosine decay, on the same batches of training examples."""

    SMOKE = {"seeds": 2, "epochs": 1.0}
    POSITIVE = ("epochs",)

    seeds: int = 2
    """Independent runs of each network."""
    epochs: float = 5.0
    """Passes over the training examples."""
    batch_size: int = 64
    """Examples in an update."""
    learning_rate: float = 3e-3
    """Learning rate of Adam, with a cosine decay."""
