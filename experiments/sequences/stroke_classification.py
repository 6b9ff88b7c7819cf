"""Recurrent networks classify handwritten digits by the strokes of a pen; what is their order worth?

    python -m experiments run stroke_classification [--data mnist --data-dir FOLDER]

Scikit-learn's digits, enlarged to 24 x 24, are thinned to lines, which a simple rule traces with a pen
(``jaxdl.data.strokes``): about eight segments (dx, dy) per digit, drawn or with the pen lifted. A GRU of 64
reads them forward, a bidirectional LSTM of 48 with the maximum over time; a GRU on shuffled segments measures the value
of the order. Logistic regression is fitted to a bag of the segments (lengths drawn and lifted in eight directions,
number of strokes, bounding box) and to the image. With mnist there are 6,000 training and 2,000 test images. The goal
is 90 % for the LSTM; the test is evaluated once.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from experiments.harness import figures
from experiments.harness.errors import preparing
from experiments.harness.members import predict_members, train_configured
from experiments.harness.run_folder import Run
from experiments.harness.sequences.baselines import logistic_regression
from experiments.harness.sequences.settings import OnExamples
from experiments.sequences import drawings
from jaxdl import data, metrics
from jaxdl.data import strokes
from jaxdl.data.bucketing import pad
from jaxdl.data.sources import images
from jaxdl.models.sequence.classifiers import RecurrentClassifier
from jaxdl.nn.recurrent import cells
from jaxdl.tasks.sequences import sequence_classification

GOAL = {"lstm_accuracy": 0.9}
SIZE, UNITS = 24, 8  # a unit of length is an eighth of the picture's edge
NETWORKS = {  # and whether they read the segments in their order
    "gru": (RecurrentClassifier(None, 10, cell=cells.GRU(64)), True),
    "lstm": (RecurrentClassifier(None, 10, cell=cells.LSTM(48), bidirectional=True, pooling="max"), True),
    "gru_shuffled": (RecurrentClassifier(None, 10, cell=cells.GRU(64)), False),
}
VIEWS = {
    "bag": lambda part: np.stack([strokes.bag_of_segments(sequence) for sequence in part["sequence"]]),
    "picture": lambda part: part["image"].reshape(len(part["image"]), -1),
}


@dataclass(frozen=True)
class Config(OnExamples):
    """Recurrent networks and logistic regressions on strokes."""

    SMOKE = {"most": 80, "seeds": 1, "epochs": 1.0, "batch_size": 16, "networks": ("gru",), "hidden_size": 4}
    LEAST = {"most": 80}

    data: Literal["digits", "mnist"] = "digits"
    """Data set."""
    data_dir: Path | None = None
    """Folder with the files of MNIST."""
    most: int = 8_000
    """Maximal number of images, a quarter of them for the test."""
    seeds: int = 3
    epochs: float = 60.0
    networks: tuple[str, ...] = tuple(NETWORKS)
    """Networks; the mistakes of the first bidirectional one, or else of the first, are drawn."""
    hidden_size: int | None = None
    """Size of vanilla cells in place of the gated ones."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Trace the digits, train the networks, compare, draw."""
    learned, tested = read(config)
    result, logits = {}, {}
    for name in config.networks:
        model, in_order = NETWORKS[name]
        random = None if in_order else np.random.default_rng(config.seed)
        arrays, test = (encode(part, random) for part in (learned, tested))
        logits[name] = learn(model, arrays, test, config)
        result[f"{name}_accuracy"] = float(np.mean(logits[name].argmax(axis=-1) == tested["label"]))
    for name, see in VIEWS.items():
        labelled = [(see(part), part["label"]) for part in (learned, tested)]
        result[f"logistic_regression_on_{name}_accuracy"] = logistic_regression(*labelled)
    run.figure("strokes", drawings.draw_strokes(learned))
    run.figure("accuracies", drawings.draw_accuracies(result))
    predicted = np.argmax(logits["lstm" if "lstm" in logits else config.networks[0]][0], axis=-1)
    counts = metrics.confusion_matrix(predicted, tested["label"], 10)
    run.figure("confusion", figures.confusion_matrix(np.asarray(counts), images.DIGIT_NAMES))
    lengths = np.array([len(sequence) for sequence in learned["sequence"]])
    return {**result, "ways_a_digit": float(lengths.mean()), "digits": len(lengths)}


def read(config: Config) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the training and the test images and trace the strokes ``[T, 3]`` of each."""
    with preparing():
        dataset = data.digits(size=SIZE) if config.data == "digits" else data.mnist(config.data_dir)
    parts, most = [], config.most
    for arrays, count in ((dataset.train, most - most // 4), (dataset.test, most // 4)):
        image, label = arrays["image"][:count, ..., 0], arrays["label"][:count]
        traced, edge = strokes.trace_images(image), image.shape[1]
        centred = [[stroke - (edge - 1) / 2 for stroke in drawing] for drawing in traced]
        sequences = [strokes.to_sequence(drawing, edge / UNITS) for drawing in centred]
        parts.append({"image": image, "label": label, "drawing": traced, "sequence": sequences})
    return parts[0], parts[1]


def encode(part: dict[str, Any], random: np.random.Generator | None) -> dict[str, np.ndarray]:
    """Pad the sequences to ``[N, T, 3]``, with their lengths; ``random`` shuffles each."""
    sequences = part["sequence"]
    if random is not None:
        sequences = [random.permutation(sequence) for sequence in sequences]
    stroke, length = pad(sequences)
    return {"stroke": stroke, "length": length, "label": part["label"]}


def learn(
    model: RecurrentClassifier, arrays: dict[str, np.ndarray], test: dict[str, np.ndarray], config: Config
) -> np.ndarray:
    """Train every seed; return the logits of the test, ``[seeds, N, 10]``."""
    model = model if config.hidden_size is None else model.clone(cell=cells.Vanilla(config.hidden_size))
    task = sequence_classification(model, inputs="stroke")
    members, _ = train_configured(task, arrays, config)
    return predict_members(model, members, test["stroke"], test["length"])
