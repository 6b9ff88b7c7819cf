"""``python -m experiments predict RUN FILE...``: the most probable classes of images, by a trained run alone."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from experiments.harness import terminal
from experiments.harness.errors import UsageError
from experiments.harness.run_folder import read_json, read_manifest, write_json
from jaxdl import data, models, train

FILE = "model.json"
SHOWN = 5


def save_model(directory: Path, name: str, dataset: data.Dataset) -> None:
    """Write what the weights of a run need besides: the model, the classes, the size and the scale of the images."""
    mean, std = (None, None) if dataset.standardization is None else (x.tolist() for x in dataset.standardization)
    shape = list(dataset.train["image"].shape[1:])
    content = {"model": name, "classes": list(dataset.classes), "image_shape": shape, "mean": mean, "std": std}
    write_json(directory / FILE, content)


def read_images(paths: list[str], description: dict[str, Any]) -> np.ndarray:
    """Read images as the run's training data: its size, its number of channels, its scale."""
    height, width, channels = description["image_shape"]
    images = []
    for path in paths:
        try:
            images.append(data.read_image(path, size=(height, width), channels=channels))
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read {path[:200]!r}: {str(error)[:200]}") from error
    x = np.stack(images).astype(np.float32) / 255
    return x if description["mean"] is None else data.standardize(x, description["mean"], description["std"])


def predict(directory: Path, paths: list[str]) -> np.ndarray:
    """Compute the probabilities of the classes, ``[files, K]``."""
    description = read_json(directory / FILE)
    model = models.create(description["model"], num_classes=len(description["classes"]))
    variables = train.weights.load(directory / "weights.safetensors")
    logits = train.predict(lambda v, x: model.apply(v, x, train=False), variables, read_images(paths, description))
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def main(arguments: list[str]) -> int:
    """Print the most probable classes of every file."""
    if len(arguments) < 2:
        raise UsageError(f"expected a run folder and files with images, got {len(arguments)} arguments")
    directory, paths = Path(arguments[0]), arguments[1:]
    read_manifest(directory)
    if not (directory / FILE).is_file():
        raise UsageError(f"expected the run of an image classifier, got {directory}, which has no {FILE}")
    classes = read_json(directory / FILE)["classes"]
    table = Table("file", "class", "probability")
    for path, row in zip(paths, predict(directory, paths), strict=True):
        for rank, label in enumerate(np.argsort(-row, kind="stable")[:SHOWN]):
            table.add_row(path if rank == 0 else "", classes[label], f"{row[label]:.4f}")
        table.add_section()
    terminal.console().print(table)
    return 0
