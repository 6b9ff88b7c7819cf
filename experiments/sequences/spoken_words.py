"""A convolutional network hears words in noise: spectrograms as images, with and without SpecAugment.

    python -m experiments run spoken_words
    python -m experiments run spoken_words --data-dir FOLDER

The images are logarithms of the power in 32 mel bands, 16 ms apart, less the mean of each band over the sound. By
default words of two syllables are made of formants and noise; ``--data-dir`` reads a folder of WAV files, one word
each, such as those of Debian's asterisk-core-sounds-en-wav (digits). There is one recording of each word: the network
learns from copies at other speeds, at other times and in weak noise, and is tested on stronger noise and larger changes
of speed. Half of the runs mask spans of time and bands of frequency in training (Park et al., 2019).
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import jax
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness import figures
from experiments.harness.claims import interval
from experiments.harness.configuration import require
from experiments.harness.errors import UsageError
from experiments.harness.figures import COLOURS
from experiments.harness.members import Repeated, train_members
from experiments.harness.plots import plot_groups
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from experiments.harness.sequences import sounds
from jaxdl import metrics, models, tasks
from jaxdl.data.spectrograms import log_mel, spec_augment
from jaxdl.typing import Batch, Key

RATE = 8000
GOAL = {"accuracy_masked": 0.8}


@dataclass(frozen=True)
class Config(Repeated):
    """Recognition of spoken words."""

    SMOKE = {
        "seeds": 2,
        "epochs": 1,
        "words": 3,
        "copies": 4,
        "tests": 2,
        "widths": (4,),
        "seconds": 0.7,
        "variants": ("plain",),
    }
    LEAST = {"words": 2}
    POSITIVE = ("seconds",)

    data_dir: Path | None = None
    """Folder of WAV files, one word each; None for words that are made here."""
    words: int = 20
    """Number of words; of a folder the first ones that are not longer than ``seconds``."""
    seconds: float = 1.0
    """Length of the sounds."""
    copies: int = 20
    """Distorted copies of each word for training."""
    tests: int = 10
    """Distorted copies of each word for the test."""
    variants: tuple[Literal["plain", "masked"], ...] = ("plain", "masked")
    """Without and with SpecAugment."""
    seeds: int = 3
    epochs: int = 60
    batch_size: int = 32
    """Sounds in an update."""
    widths: tuple[int, ...] = (8, 16, 32)
    """Channels of the convolutions, each followed by pooling."""
    learning_rate: float = 2e-3
    """Largest rate of Adam, with a cosine decay."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.words <= 200, "words", "at most 200", self.words)


def run(config: Config, run: Run) -> dict[str, float]:
    """Make or read words, train on their spectrograms, test in noise, draw."""
    random = np.random.default_rng(config.seed)
    length = int(config.seconds * RATE)
    words = read_words(config, random, length)
    copies = partial(distorted, random, list(words.values()), length)
    train_arrays = copies(config.copies, speed=0.1, noise=(10.0, 30.0))
    test_arrays = copies(config.tests, speed=0.2, noise=(0.0, 10.0))
    depths = (1,) * len(config.widths)
    model = models.VGG(len(words), depths, config.widths, hidden_sizes=(64,), dropout_rate=0.2)
    settings = {name: getattr(config, name) for name in ("epochs", "learning_rate", "seed")}
    batch = min(config.batch_size, len(train_arrays["label"]))
    predict = jax.jit(lambda variables: model.apply(variables, test_arrays["image"]))
    predicted = {}
    for name in config.variants:
        task = tasks.classification(model, augment=mask if name == "masked" else None)
        members, _ = train_members(task, train_arrays, members=config.seeds, batch_size=batch, **settings)
        predicted[name] = np.stack([np.asarray(predict(member)).argmax(-1) for member in members])
    accuracy = {name: np.mean(found == test_arrays["label"], axis=1) for name, found in predicted.items()}
    last = predicted[config.variants[-1]]
    counts = sum(metrics.confusion_matrix(each, test_arrays["label"], len(words)) for each in last)
    run.figure("confusion", figures.confusion_matrix(counts, tuple(words)))
    run.figure("spectrograms", draw_examples(words, train_arrays, test_arrays, config.seed))
    run.figure("accuracy", draw_accuracy(accuracy))
    shown = dict(list(words.items())[:8])
    run.figure("words", sounds.draw_spectrograms(shown, RATE))
    result = means(accuracy=accuracy) | {"words": len(words)}
    if len(accuracy) > 1:
        gain, low, high = interval(accuracy["masked"] - accuracy["plain"], (-1, 1))
        run.console.print(f"SpecAugment gains {gain:.3f} [{low:.3f}, {high:.3f}]")
        result |= {"gain": gain, "gain_low": low}
    return result


def read_words(config: Config, random: np.random.Generator, length: int) -> dict[str, np.ndarray]:
    """Make words, or read the first short ones of a folder."""
    if config.data_dir is None:
        return sounds.spoken_words(random, config.words, RATE)
    found = sounds.read_sounds(config.data_dir, RATE)
    short = {name: sound for name, sound in found.items() if RATE // 20 < len(sound) <= length}
    if len(short) < 2:
        message = f"expected two WAV files of at most {config.seconds:g} s in {config.data_dir}, got {len(short)}"
        raise UsageError(f"{message}; raise --seconds")
    return dict(list(short.items())[: config.words])


def distorted(
    random: np.random.Generator,
    words: list[np.ndarray],
    length: int,
    count: int,
    *,
    speed: float,
    noise: tuple[float, float],
) -> dict[str, np.ndarray]:
    """Distort every word ``count`` times; return normalized spectrograms ``[N, T, 32, 1]`` and labels."""
    made = [sounds.distort(random, word, length, speed=speed, noise=noise) for word in words for _ in range(count)]
    image = np.array(jax.jit(partial(log_mel, sample_rate=RATE))(np.stack(made)))[..., None]
    image -= image.mean(axis=1, keepdims=True)  # steady noise has the same power at all times
    image /= image.std(axis=(1, 2, 3), keepdims=True)
    return {"image": image, "label": np.repeat(np.arange(len(words), dtype=np.int32), count)}


def mask(key: Key, batch: Batch) -> Batch:
    """Mask up to a tenth of the time and an eighth of the bands, twice each."""
    image = batch["image"]
    return {**batch, "image": spec_augment(key, image, time_width=image.shape[1] // 10, frequency_width=4)}


def draw_examples(words: dict[str, np.ndarray], learned: Batch, tested: Batch, seed: int) -> Figure:
    """Draw spectrograms of four words: a copy for training, the same masked, and a copy of the test."""
    count = min(4, len(words))
    of_training, of_test = (
        [int(np.flatnonzero(arrays["label"] == i)[0]) for i in range(count)] for arrays in (learned, tested)
    )
    masked = jax.jit(mask)(jax.random.key(seed), {"image": learned["image"][of_training]})["image"]
    rows = {
        "training": learned["image"][of_training],
        "masked": np.asarray(masked),
        "test": tested["image"][of_test],
    }
    figure, axes = plt.subplots(3, count, figsize=(2.4 * count, 5.4), squeeze=False)
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        titles = list(words)[:count] if name == "training" else ()
        figures.show_images(line, [image[..., 0].T[::-1] for image in images], titles, cmap="magma", aspect="auto")
        line[0].set_ylabel(name)
    return figure


def draw_accuracy(accuracy: dict[str, np.ndarray]) -> Figure:
    """Draw the accuracy of every run."""
    figure, axis = plt.subplots(figsize=(3.6, 3.2))
    plot_groups(axis, accuracy, COLOURS[: len(accuracy)], within=(0, 1))
    axis.set(ylabel="test accuracy", title="words in noise")
    return figure
