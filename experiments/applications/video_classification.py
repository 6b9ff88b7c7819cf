"""Videos: which digit moves, and in which direction? Three networks over time, against one frame.

    python -m experiments run video_classification [--model conv3d | transformer] [--data mnist --data-dir FOLDER]

A handwritten digit of scikit-learn (or MNIST) moves left, right, up or down, a pixel a frame, on noise; the 40 classes
are the pairs of digit and direction. The place in the middle of the video has the same distribution for all
directions: the digit is visible in one frame, and the direction is not. A GRU over the features of frames
(Donahue et al., 2015), convolutions over time and space (C3D, Tran et al., 2015), or a transformer over frames. Test
videos show other images of digits.

Goals, set before the run: 95 % of the directions and 85 % of the digits; chance for the direction of one frame is 25 %.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from flax import linen

from experiments.applications import drawings
from experiments.harness import figures
from experiments.harness.applications.digit_scenes import DIGITS, OnDigits, draw_parts, to_numbers
from experiments.harness.applications.videos import DIRECTIONS, OBJECT, FrameNetwork, Videos, draw_videos
from experiments.harness.run_folder import Run
from experiments.harness.supervised import Optimizer
from experiments.harness.training import train_on_arrays
from jaxdl import metrics, tasks, train
from jaxdl.models import ConvVideoClassifier, RecurrentVideoClassifier, TransformerVideoClassifier
from jaxdl.nn.recurrent.cells import GRU
from jaxdl.typing import Batch, PyTree

GOAL = {"direction_accuracy": 0.95, "digit_accuracy": 0.85}
SHOWN = 4


@dataclass(frozen=True)
class Config(OnDigits):
    """A network over videos, and one over a frame."""

    SMOKE = {"videos": 16, "tested": 8, "frames": 4, "channels": 2, "hidden_size": 4, "epochs": 1.0, "one_frame": False}
    POSITIVE = ("epochs",)
    LEAST = {"frames": 2}

    model: Literal["recurrent", "conv3d", "transformer"] = "recurrent"
    """Network over time."""
    one_frame: bool = True
    """Train a network on the frame in the middle, too."""
    videos: int = 4000
    """Videos of the training."""
    tested: int = 500
    """Videos of the test."""
    frames: int = 8
    """Frames of a video."""
    channels: int = 12
    """Channels of the first convolution."""
    hidden_size: int = 48
    """Size of the features of a frame and of the states, a multiple of 4."""
    epochs: float = 12.0
    """Passes over the videos."""
    batch_size: int = 32
    """Videos in an update."""
    learning_rate: float = 3e-3
    """Largest learning rate of Adam, with a warmup and a cosine decay."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train, classify the test, draw videos with answers and the confusion of directions."""
    draw = partial(draw_videos, frames=config.frames)
    learned, tested = draw_parts(config, OBJECT, draw, config.videos, config.tested)
    arrays, test = (encode(part) for part in (learned, tested))
    model = make_model(config, config.model)
    variables, result = learn(config, run, model, arrays, test)
    predicted = predict(model, variables, test)
    result |= score(predicted, test["label"])
    if config.one_frame:
        middle = slice(config.frames // 2, config.frames // 2 + 1)
        cut, seen = ({**part, "video": part["video"][:, middle]} for part in (arrays, test))
        model = make_model(config, "recurrent")
        variables, _ = learn(config, run, model, cut, seen, keep=False)
        found = score(predict(model, variables, seen), test["label"])
        result |= {f"one_frame_{name}": value for name, value in found.items()}
    titles = []
    for own, true in list(zip(predicted, test["label"], strict=True))[:SHOWN]:
        names = [f"{DIGITS[label // 4]} {DIRECTIONS[label % 4]}" for label in (own, true)]
        titles.append(names[0] if own == true else f"{names[0]} (is: {names[1]})")
    run.figure("videos", drawings.draw_frames(tested.video[:SHOWN, ..., 0] / 255, titles))
    pairs = metrics.confusion_matrix(predicted % 4, test["label"] % 4, 4)
    run.figure("directions", figures.confusion_matrix(np.asarray(pairs), DIRECTIONS))
    return result


def encode(part: Videos) -> dict[str, np.ndarray]:
    """Return the arrays of the task."""
    return {"video": part.video, "label": (4 * part.digit + part.moves[:, 0]).astype(np.int32)}


def prepare(batch: Batch) -> Batch:
    """Scale videos from 0 to 1."""
    return {**batch, "video": to_numbers(batch["video"])}


def make_model(config: Config, name: str) -> linen.Module:
    """Make a network over videos."""
    classes, size = 4 * len(DIGITS), config.hidden_size
    if name == "conv3d":
        channels = (config.channels, 2 * config.channels, 4 * config.channels)
        return ConvVideoClassifier(classes, channels if config.frames >= 4 else channels[:2])
    network = FrameNetwork(config.channels, size)
    if name == "transformer":
        return TransformerVideoClassifier(classes, network, size, dropout_rate=0.0)
    return RecurrentVideoClassifier(classes, network, GRU(size))


def learn(
    config: Config,
    run: Run,
    model: linen.Module,
    arrays: dict[str, np.ndarray],
    test: dict[str, np.ndarray],
    *,
    keep: bool = True,
) -> tuple[PyTree, dict[str, float]]:
    """Train a network by `train_on_arrays`."""
    task = tasks.classification(model, inputs="video", prepare=prepare)
    optimizer = Optimizer("adam", config.learning_rate, warmup=0.1, clip_norm=1.0)
    options = {"epochs": config.epochs, "batch_size": config.batch_size, "keep": keep}
    return train_on_arrays(run, task, arrays, test, optimizer.make, **options)


def predict(model: linen.Module, variables: PyTree, test: dict[str, np.ndarray]) -> np.ndarray:
    """Return the most probable classes."""
    logits = train.predict(lambda v, x: model.apply(v, to_numbers(x)), variables, test["video"])
    return np.argmax(logits, axis=-1)


def score(predicted: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the accuracies of digits and of directions."""
    parts = {"digit": (predicted // 4, labels // 4), "direction": (predicted % 4, labels % 4)}
    return {f"{name}_accuracy": float(np.mean(own == true)) for name, (own, true) in parts.items()} | {
        "accuracy": float(np.mean(predicted == labels))
    }
