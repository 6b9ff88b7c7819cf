"""Any model on any data set of images, with a recipe or a preset.

    python -m experiments run image_classification
    python -m experiments run image_classification --model resnet20 --data cifar10 --data-dir FOLDER
    python -m experiments run image_classification --model googlenet --data image_folder --data-dir FOLDER --size 128

A recipe gives the settings without a flag: "cifar" is that of He et al. (2016), with reflected and shifted images,
momentum 0.9, weight decay 1e-4 and a learning rate of 0.1 that falls to a tenth at half and at three quarters of the
run; "cifar_cosine" has a warmup and a cosine decay; "digits" suits some thousand small images. "auto" is "cifar" for
cifar10 and "digits" otherwise. Images are standardized per channel by the training images, and resized if the model
does not accept their size. The first command trains LeNet-5 on scikit-learn's digits at 32 x 32.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from experiments.harness.configuration import require
from experiments.harness.errors import preparing
from experiments.harness.run_folder import Run
from experiments.harness.supervised import (
    Classification,
    Optimizer,
    OptimizerChanges,
    load_dataset,
    resized,
    standardized,
    train_classifier,
)

GOAL = {"accuracy": 0.98}

Augment = Literal["none", "shift", "affine", "flip"]


@dataclass(frozen=True)
class Recipe:
    """Settings for those that no flag gives."""

    epochs: float
    batch_size: int
    augment: Augment
    optimizer: Optimizer


CIFAR = Recipe(164, 128, "flip", Optimizer("momentum", learning_rate=0.1, schedule="step"))
RECIPES = {
    "digits": Recipe(25, 32, "affine", Optimizer("momentum", learning_rate=0.02, warmup=0.1)),
    "cifar": CIFAR,
    "cifar_cosine": dataclasses.replace(
        CIFAR, epochs=100, optimizer=Optimizer("momentum", learning_rate=0.1, warmup=0.05)
    ),
}

ADAM = OptimizerChanges(**vars(Optimizer("adam", learning_rate=2e-3)))
SMALL: dict[str, Any] = {"augment": "none", "standardize": False, "optimizer": ADAM}
PRESETS: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "lenet_digits": (SMALL | {"size": 32, "epochs": 25.0, "batch_size": 32, "augment": "affine"}, {"accuracy": 0.98}),
    "lenet_mnist": (SMALL | {"data": "mnist", "epochs": 8.0, "batch_size": 64}, {"accuracy": 0.99}),
    "mlp_digits": (SMALL | {"model": "mlp", "epochs": 40.0, "batch_size": 32}, {"accuracy": 0.95}),
}
"""Settings and goals by name."""


@dataclass(frozen=True)
class Config(Classification):
    """Any model on any data set of images."""

    recipe: Literal["auto", "digits", "cifar", "cifar_cosine"] = "auto"
    """Recipe of the settings that are None."""
    size: int | None = None
    """Height and width of the images; None: their own, or the model's if it does not accept that."""
    standardize: bool = True
    """Whether the images are standardized per channel."""
    epochs: float | None = None
    """Passes over the training examples; None: those of the recipe."""
    batch_size: int | None = None
    """Examples in a batch; None: those of the recipe."""
    augment: Augment | None = None
    """Augmentation of the training images; None: that of the recipe."""
    optimizer: OptimizerChanges = field(default_factory=OptimizerChanges)

    def __post_init__(self) -> None:
        require(self.size is None or self.size >= 1, "size", ">= 1", self.size)
        self.settled()

    def settled(self) -> Classification:
        """Return the configuration with the values of the recipe in place of None."""
        name = self.recipe
        if name == "auto":
            name = "cifar" if self.data == "cifar10" else "digits"
        recipe, given = RECIPES[name], {}
        for each in dataclasses.fields(Classification):
            value = getattr(self, each.name)
            given[each.name] = getattr(recipe, each.name, None) if value is None else value
        changes = {name: value for name, value in vars(self.optimizer).items() if value is not None}
        return Classification(**{**given, "optimizer": dataclasses.replace(recipe.optimizer, **changes)})


def run(config: Config, run: Run) -> dict[str, float]:
    """Load and resize the images, train and evaluate."""
    settled = config.settled()
    options = {} if config.size is None else {"size": config.size}
    dataset = load_dataset(settled, run, **options)
    with preparing():
        dataset = resized(dataset, config.model, config.size)
        dataset = standardized(dataset) if config.standardize else dataset
    run.console.print(f"images {dataset.train['image'].shape}, {settled.epochs:g} epochs, {settled.optimizer}")
    return train_classifier(settled, run, dataset)
