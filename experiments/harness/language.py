"""Training a recurrent language model: what the experiments with characters and with words share."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness.configuration import Config, at_least, positive, require
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

CELLS = {
    "lstm": cells.LSTM,
    "gru": cells.GRU,
    "vanilla": cells.Vanilla,
    "peephole": cells.PeepholeLSTM,
    "four_gate": cells.FourGateLSTM,
}


@dataclass(frozen=True)
class ReadingAndWriting(Config):
    """A text to learn from, how long, and what is written at the end."""

    text: str = "python"
    """The text: a file, a folder, python (the sources of the standard library) or tiny_shakespeare."""
    data_dir: Path | None = None
    """Folder with tiny_shakespeare/input.txt."""
    characters: int = 1_000_000
    """Most characters that are read."""
    held_out: float = 0.1
    """Share of the text, its end, that is held out."""
    epochs: float = 5.0
    """Passes over the text."""
    sample: int = 400
    """Tokens that are written at the end."""
    temperature: float = 0.8
    """Below 1 the writing keeps to what is probable."""
    top_k: int | None = None
    """Draw from so many most probable tokens only."""
    top_p: float | None = 0.95
    """Draw from the fewest tokens that have this probability together."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, characters=1, sample=1)
        positive(self, "temperature")
        require(0 < self.epochs < math.inf, "epochs", "> 0", self.epochs)
        require(0 < self.held_out < 1, "held-out", "in (0, 1)", self.held_out)
        require(self.top_k is None or self.top_k >= 1, "top-k", ">= 1", self.top_k)
        require(self.top_p is None or 0 < self.top_p <= 1, "top-p", "in (0, 1]", self.top_p)


@dataclass(frozen=True)
class LanguageModelling(ReadingAndWriting):
    """A text, a recurrent network that reads it, and how it learns."""

    cell: Literal["lstm", "gru", "vanilla", "peephole", "four_gate"] = "lstm"
    """What the network does at each time."""
    features: int = 256
    """Size of the state of a layer."""
    embedding: int = 64
    """Width of the vectors of the tokens."""
    layers: int = 1
    """Layers of cells."""
    dropout_rate: float = 0.0
    """What dropout keeps."""
    tied: bool = False
    """Whether the output has the weights of the embedding, which must then be as wide as a layer."""
    streams: int = 32
    """Places of the text that are read side by side."""
    window: int = 50
    """Tokens of each stream in an update, through which the gradient flows."""
    restart_probability: float = 0.02
    """How likely a stream forgets what it read before a window, so that beginnings are learned."""
    optimizer: Optimizer = field(default_factory=lambda: Optimizer("adam", learning_rate=4e-3, clip_norm=1.0))

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, features=1, embedding=1, layers=1, streams=1, window=1)
        require(0 <= self.dropout_rate < 1, "dropout-rate", "in [0, 1)", self.dropout_rate)
        require(0 <= self.restart_probability <= 1, "restart-probability", "in [0, 1]", self.restart_probability)
        width = CELLS[self.cell](self.features).output_size
        require(not self.tied or self.embedding == width, "tied", f"--embedding {width} beside it", self.embedding)


def read(config: ReadingAndWriting, run: Run) -> tuple[str, str]:
    """Read the text and hold its end out; a smoke run reads a little."""
    limit = 6_000 if run.smoke else config.characters
    with preparing():
        if config.text == "python":
            whole = data.python_source(limit)
        elif config.text == "tiny_shakespeare":
            whole = data.tiny_shakespeare(config.data_dir)[:limit]
        else:
            whole = data.read_text(config.text, limit=limit)
        return text.split_text(whole, config.held_out)


def learn(
    config: LanguageModelling, run: Run, vocabulary: Vocabulary, tokens: tuple[np.ndarray, np.ndarray], unit: str
) -> tuple[RecurrentLanguageModel, train.TrainState, dict[str, float]]:
    """Train on the first tokens and evaluate on the others."""
    features, embedding, streams, window = config.features, config.embedding, config.streams, config.window
    if run.smoke:
        embedding = 16 if config.tied else 8
        features, streams, window = 16, 4, 32
    with preparing():
        restarts = {"restart_probability": config.restart_probability, "seed": config.seed}
        loader = data.Loader(text.windows(tokens[0], streams, window, **restarts), streams, shuffle=False, **run.share)
        test = text.streams(tokens[1], streams)
    vocabulary.save(run.directory / "vocabulary.json")
    model = RecurrentLanguageModel(
        vocab_size=len(vocabulary),
        cell=CELLS[config.cell](features),
        embedding_dim=embedding,
        num_layers=config.layers,
        dropout_rate=config.dropout_rate,
        tied=config.tied,
    )
    epochs = min(1.0, config.epochs) if run.smoke else config.epochs
    optimizer = config.optimizer.make(train.count_steps(epochs, loader.steps_per_epoch))
    state, result = train_task(run, language_model(model, unit=unit), loader, optimizer, test, epochs=epochs)
    return model, state, result


def write(config: LanguageModelling, run: Run, model: RecurrentLanguageModel, params: Any, prompt: np.ndarray) -> Any:
    """Let the model go on from a prompt ``[T]``; return the tokens that it draws."""

    @jax.jit
    def go_on(variables, key):
        carry = model.init_carry((1,))
        if len(prompt) > 1:
            carry = model.apply(variables, jnp.asarray(prompt)[None, :-1], return_intermediates=True)[1]["carry"]
        return decode.sample(
            key,
            step_function(model, variables),
            carry,
            jnp.asarray(prompt)[-1:],
            max_length=16 if run.smoke else config.sample,
            temperature=config.temperature,
            top_k=config.top_k,
            top_p=config.top_p,
        ).tokens[0]

    return np.asarray(go_on({"params": params}, jax.random.key(config.seed)))


def tell(run: Run, written: str) -> None:
    """Print a sample and keep it as ``sample.txt``."""
    (run.directory / "sample.txt").write_text(written + "\n", encoding="utf-8")
    run.console.print("a sample:", style="bold")
    run.console.print(written, markup=False, highlight=False)


def curve(run: Run, unit: str, baselines: dict[str, float]) -> Figure:
    """Draw the bits per token over the epochs, and what the text costs without a network."""
    rows, name = train.MetricsFile.read(run.directory / "metrics.jsonl"), f"bits_per_{unit}"
    figure, axis = plt.subplots(figsize=(7.2, 4.2))
    for part, label, style in (("train", "training", "-"), ("evaluation", "held out", "o-")):
        points = [(row["epoch"], row[f"{part}/{name}"]) for row in rows if f"{part}/{name}" in row]
        axis.plot(*zip(*points, strict=True), style, label=label, markersize=4, linewidth=1.4)
    lowest, highest = min([*baselines.values(), *(row[f"train/{name}"] for row in rows)]), max(baselines.values())
    axis.set(xlabel="epoch", ylabel=f"bits per {unit}", ylim=(0.9 * lowest, 1.1 * highest))
    names = sorted(baselines, key=baselines.get)
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
    """Push rising values up until each is above the one before by the gap at least, so that labels have room.

    >>> spread([1.0, 1.5, 4.0], 1.0)
    [1.0, 2.0, 4.0]
    """
    places = values[:1]
    for value in values[1:]:
        places.append(max(value, places[-1] + gap))
    return places
