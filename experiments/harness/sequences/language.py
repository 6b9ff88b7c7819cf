"""Language models: settings, training, generation and figures of the experiments with text."""

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness.configuration import Config, require
from experiments.harness.errors import preparing
from experiments.harness.run_folder import Run
from experiments.harness.supervised import Optimizer
from experiments.harness.training import train_task
from jaxdl import data, decode, train
from jaxdl.data import text
from jaxdl.data.vocabulary import Vocabulary
from jaxdl.models import RecurrentLanguageModel, step_function
from jaxdl.nn.recurrent import cells
from jaxdl.tasks.language import language_model
from jaxdl.typing import Array, Key, PyTree

CELLS = {
    "lstm": cells.LSTM,
    "gru": cells.GRU,
    "vanilla": cells.Vanilla,
    "peephole": cells.PeepholeLSTM,
    "four_gate": cells.FourGateLSTM,
}


@dataclass(frozen=True)
class TextGeneration(Config):
    """A text to learn from and the settings of generation."""

    SMOKE = {"characters": 6_000, "epochs": 1.0, "sample": 16}
    POSITIVE = ("temperature",)

    text: str = "python"
    """A file, a folder, python (the sources of the standard library) or tiny_shakespeare."""
    data_dir: Path | None = None
    """Folder with tiny_shakespeare/input.txt."""
    characters: int = 1_000_000
    """Maximal number of characters of the text."""
    held_out: float = 0.1
    """Share of the text that is held out, at its end."""
    epochs: float = 5.0
    """Passes over the text."""
    sample: int = 400
    """Tokens to generate."""
    temperature: float = 0.8
    """Temperature of sampling; below 1 it favours probable tokens."""
    top_k: int | None = None
    """Sample from the most probable tokens, this many."""
    top_p: float | None = 0.95
    """Sample from the fewest tokens with this total probability (nucleus sampling)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.epochs < math.inf, "epochs", "> 0", self.epochs)
        require(0 < self.held_out < 1, "held-out", "in (0, 1)", self.held_out)
        require(self.top_k is None or self.top_k >= 1, "top-k", ">= 1", self.top_k)
        require(self.top_p is None or 0 < self.top_p <= 1, "top-p", "in (0, 1]", self.top_p)


@dataclass(frozen=True)
class LanguageModeling(TextGeneration):
    """A text, a recurrent network and the settings of training."""

    SMOKE = {**TextGeneration.SMOKE, "hidden_size": 16, "streams": 4, "window": 32}
    FORMER = {"features": "hidden_size", "embedding": "embedding_dim", "layers": "num_layers"}

    cell: Literal["lstm", "gru", "vanilla", "peephole", "four_gate"] = "lstm"
    """Recurrent cell."""
    hidden_size: int = 256
    """Size of the state of a layer."""
    embedding_dim: int = 64
    """Size of the embeddings."""
    num_layers: int = 1
    """Number of layers."""
    dropout_rate: float = 0.0
    """Share of units that dropout drops."""
    tied: bool = False
    """Whether output and embedding share their weights; both must then have the size of a layer."""
    streams: int = 32
    """Streams of the text that are read in parallel."""
    window: int = 50
    """Tokens of each stream per update, the length of truncated backpropagation."""
    restart_probability: float = 0.02
    """Probability that the state is reset before a window, so that the network learns to start."""
    optimizer: Optimizer = field(default_factory=lambda: Optimizer("adam", learning_rate=4e-3, clip_norm=1.0))

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.dropout_rate < 1, "dropout-rate", "in [0, 1)", self.dropout_rate)
        require(0 <= self.restart_probability <= 1, "restart-probability", "in [0, 1]", self.restart_probability)
        size = CELLS[self.cell](self.hidden_size).output_size
        require(not self.tied or self.embedding_dim == size, "embedding-dim", f"{size} with --tied", self.embedding_dim)

    def smoke(self) -> Self:
        """Return the configuration of a smoke run, tied as this one."""
        return dataclasses.replace(self, **self.SMOKE, embedding_dim=16 if self.tied else 8)


def read(config: TextGeneration) -> tuple[str, str]:
    """Read the text; return the training part and the held-out end."""
    limit = config.characters
    with preparing():
        if config.text == "python":
            whole = data.python_source(limit)
        elif config.text == "tiny_shakespeare":
            whole = data.tiny_shakespeare(config.data_dir)[:limit]
        else:
            whole = data.read_text(config.text, limit=limit)
        return text.split_text(whole, config.held_out)


def learn(
    config: LanguageModeling, run: Run, vocabulary: Vocabulary, tokens: tuple[np.ndarray, np.ndarray], unit: str
) -> tuple[RecurrentLanguageModel, train.TrainState, dict[str, float]]:
    """Train on the first tokens and evaluate on the others."""
    streams = config.streams
    with preparing():
        restarts = {"restart_probability": config.restart_probability, "seed": config.seed}
        loader = data.Loader(
            text.windows(tokens[0], streams, config.window, **restarts), streams, shuffle=False, **run.share
        )
        test = text.streams(tokens[1], streams)
    vocabulary.save(run.directory / "vocabulary.json")
    model = RecurrentLanguageModel(
        vocab_size=len(vocabulary),
        cell=CELLS[config.cell](config.hidden_size),
        embedding_dim=config.embedding_dim,
        num_layers=config.num_layers,
        dropout_rate=config.dropout_rate,
        tied=config.tied,
    )
    optimizer = config.optimizer.make(train.count_steps(config.epochs, loader.steps_per_epoch))
    state, result = train_task(run, language_model(model, unit=unit), loader, optimizer, test, epochs=config.epochs)
    return model, state, result


def generate(config: LanguageModeling, model: RecurrentLanguageModel, params: PyTree, prompt: np.ndarray) -> np.ndarray:
    """Sample tokens after a prompt ``[T]``."""

    @jax.jit
    def sample(variables: PyTree, key: Key) -> Array:
        carry = model.init_carry((1,))
        if len(prompt) > 1:
            carry = model.apply(variables, jnp.asarray(prompt)[None, :-1], return_intermediates=True)[1]["carry"]
        return decode.sample(
            key,
            step_function(model, variables),
            carry,
            jnp.asarray(prompt)[-1:],
            max_length=config.sample,
            temperature=config.temperature,
            top_k=config.top_k,
            top_p=config.top_p,
        ).tokens[0]

    return np.asarray(sample({"params": params}, jax.random.key(config.seed)))


def save_sample(run: Run, sample: str) -> None:
    """Print a sample and write it to ``sample.txt``."""
    (run.directory / "sample.txt").write_text(sample + "\n", encoding="utf-8")
    run.console.print("sample:", style="bold")
    run.console.print(sample, markup=False, highlight=False)


def curve(run: Run, unit: str, baselines: dict[str, float]) -> Figure:
    """Plot the bits per token over the epochs, and those of the baselines."""
    rows, name = train.MetricsFile.read(run.directory / "metrics.jsonl"), f"bits_per_{unit}"
    figure, axis = plt.subplots(figsize=(7.2, 4.2))
    for part, label, style in (("train", "training", "-"), ("evaluation", "held out", "o-")):
        points = [(row["epoch"], row[f"{part}/{name}"]) for row in rows if {"epoch", f"{part}/{name}"} <= row.keys()]
        axis.plot(*zip(*points, strict=True), style, label=label, markersize=4, linewidth=1.4)
    lowest, highest = (
        min([*baselines.values(), *(row[f"train/{name}"] for row in rows if f"train/{name}" in row)]),
        max(baselines.values()),
    )
    axis.set(xlabel="epoch", ylabel=f"bits per {unit}", ylim=(0.9 * lowest, 1.1 * highest))
    names = sorted(baselines, key=lambda name: baselines[name])
    places = spread([baselines[baseline] for baseline in names], (1.1 * highest - 0.9 * lowest) / 22)
    line = {"color": "0.45", "linewidth": 1}
    for baseline, place in zip(names, places, strict=True):
        axis.axhline(baselines[baseline], linestyle="--", **line)
        ends = (1, baselines[baseline]), (1.05, place)
        across = axis.get_yaxis_transform()
        label = {"xycoords": across, "textcoords": across, "va": "center", "fontsize": 8}
        axis.annotate(baseline.replace("_", " "), *ends, **label, arrowprops={"arrowstyle": "-", "shrinkB": 0, **line})
    axis.legend(loc="upper center", framealpha=1)
    return figure


def spread(values: list[float], gap: float) -> list[float]:
    """Raise sorted values until neighbours differ by ``gap`` at least, to place labels.

    >>> spread([1.0, 1.5, 4.0], 1.0)
    [1.0, 2.0, 4.0]
    """
    places = values[:1]
    for value in values[1:]:
        places.append(max(value, places[-1] + gap))
    return places
