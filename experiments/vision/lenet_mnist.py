"""LeNet-5 learns MNIST, or with --data fashion_mnist pieces of clothing.

    python -m experiments run lenet_mnist --data-dir FOLDER

The folder holds the four official files; without it they are looked for in the cache, then downloaded.

Takes about a minute on two processor cores. Test accuracy on MNIST: 99.2 % (at least 99.0 %).
"""

from dataclasses import dataclass, field

from experiments.harness.run_folder import Run
from experiments.harness.supervised import Classification, Optimizer, load_dataset, train_classifier

GOAL = {"accuracy": 0.99}


@dataclass(frozen=True)
class Config(Classification):
    """LeNet-5 on images of 28 x 28 pixels."""

    data: str = "mnist"
    """Name of the data set: mnist or fashion_mnist."""
    epochs: float = 8.0
    """Passes over the training examples."""
    batch_size: int = 64
    """Examples in an update."""
    optimizer: Optimizer = field(default_factory=lambda: Optimizer("adam", learning_rate=2e-3))


def run(config: Config, run: Run) -> dict[str, float]:
    """Train and evaluate."""
    return train_classifier(config, run, load_dataset(config, run))
