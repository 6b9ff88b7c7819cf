"""Questions about images: which digit is red, is the seven above the blue digit?

    python -m experiments run image_questions [--data mnist --data-dir FOLDER]

A picture has two to four handwritten digits of scikit-learn (or of MNIST), of different values and colours. Six types
of questions are equally frequent: the digit of a colour, the colour of a digit, the number of digits, whether there is
one of a colour, which is most to one side, and whether one is above or left of another. A GRU reads the question, a
convolutional network the picture, and the question attends to its 8 x 8 positions twice (Yang et al., 2016). Test
pictures show other images of digits. With black pictures the same network has the question alone.

Goals, set before the run: 80 % of all answers, 90 % of the questions for the digit of a colour, and at least 0.35 more
than with the question alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiments.applications import drawings
from experiments.harness.applications.digit_scenes import (
    ASK,
    DIGITS,
    OBJECT,
    OnDigits,
    draw_parts,
    draw_questions,
    encode_questions,
    to_numbers,
)
from experiments.harness.applications.scenes import COLOURS, GridNetwork
from experiments.harness.run_folder import Run
from experiments.harness.supervised import Optimizer
from experiments.harness.training import train_on_arrays
from jaxdl import losses, metrics, tasks
from jaxdl.data.vocabulary import PAD, UNK, Vocabulary
from jaxdl.models import StackedAttentionNetwork
from jaxdl.nn.recurrent.cells import GRU
from jaxdl.typing import Batch, PyTree

GOAL = {"accuracy": 0.8, "digit_accuracy": 0.9, "gain": 0.35}
ANSWERS = ("yes", "no", *DIGITS, *COLOURS)
SHOWN = 6


@dataclass(frozen=True)
class Config(OnDigits):
    """A network with and without pictures."""

    SMOKE = {"pictures": 24, "tested": 12, "hidden_size": 4, "channels": 3, "hops": 1, "epochs": 1.0, "blind": False}
    POSITIVE = ("epochs",)
    LEAST = {"channels": 3}

    pictures: int = 12_000
    """Pictures of the training, a question each."""
    tested: int = 1200
    """Pictures of the test."""
    hidden_size: int = 64
    """Size of the states and of attention."""
    channels: int = 48
    """Channels of the features."""
    hops: int = 2
    """How often the question attends to the picture."""
    blind: bool = True
    """Train on the questions alone, too, for a quarter of the passes."""
    epochs: float = 42.0
    """Passes over the questions."""
    batch_size: int = 64
    """Questions in an update."""
    learning_rate: float = 3e-3
    """Largest learning rate of Adam, with a warmup and a cosine decay."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train both, answer the questions of the test by type, draw what was attended to."""
    learned, tested = draw_parts(config, OBJECT, draw_questions, config.pictures, config.tested)
    words = [word for question in learned.questions for word in question]
    vocabulary = Vocabulary.build(words, special_tokens=(PAD, UNK))
    longest = max(map(len, (*learned.questions, *tested.questions)))
    arrays, test = (encode_questions(part, vocabulary, ANSWERS, longest) for part in (learned, tested))
    size = config.hidden_size
    model = StackedAttentionNetwork(
        len(vocabulary), len(ANSWERS), GridNetwork(config.channels), GRU(size), 32, size, config.hops, dropout_rate=0.1
    )
    optimizer = Optimizer("adam", config.learning_rate, warmup=0.1, clip_norm=1.0)
    options = {"inputs": "question", "arguments": {"image": "image", "lengths": "length"}}
    task = tasks.supervised(model, losses.cross_entropy, {"accuracy": metrics.accuracy}, prepare=prepare, **options)
    learn = partial(train_on_arrays, run, task, make_optimizer=optimizer.make, batch_size=config.batch_size)
    variables, result = learn(arrays, test, epochs=config.epochs)
    read = make_reader(model)
    answers, looks = read(variables, test)
    predicted = {"": answers}
    if config.blind:
        dark, unlit = ({**part, "image": np.zeros_like(part["image"])} for part in (arrays, test))
        variables, _ = learn(dark, unlit, epochs=config.epochs / 4, keep=False)
        predicted["question_only_"] = read(variables, unlit)[0]
    scores = {}
    for name, own in predicted.items():
        right = own == test["label"]
        by_kind = {kind: float(np.mean(right[tested.kinds == kind])) for kind in ASK if kind in tested.kinds}
        scores[name or "picture"] = by_kind
        result |= {f"{name}accuracy": float(np.mean(right))}
        result |= {f"{name}{kind}_accuracy": value for kind, value in by_kind.items()}
    if config.blind:
        result["gain"] = result["accuracy"] - result["question_only_accuracy"]
    run.figure("types", drawings.draw_types(scores))
    titles = [
        f"{' '.join(question)}?\n{ANSWERS[own]}" + ("" if ANSWERS[own] == answer else f" (is: {answer})")
        for question, own, answer in zip(tested.questions[:SHOWN], predicted[""], tested.answers, strict=False)
    ]
    for title in titles:
        run.console.print(title.replace("\n", "  "), highlight=False, markup=False)
    run.figure("attention", drawings.draw_hops(test["image"][:SHOWN] / 255, titles, looks[:SHOWN]))
    return result


def prepare(batch: Batch) -> Batch:
    """Scale images from 0 to 1."""
    return {**batch, "image": to_numbers(batch["image"])}


def make_reader(model: StackedAttentionNetwork) -> Callable[[PyTree, dict[str, np.ndarray]], tuple[np.ndarray, ...]]:
    """Make the function from variables and a test to the answers ``[N]`` and the attention of hops ``[N, hops, S]``."""

    @jax.jit
    def read(variables: PyTree, batch: Batch) -> tuple[jax.Array, jax.Array]:
        options = {"lengths": batch["length"], "return_intermediates": True}
        logits, out = model.apply(variables, batch["question"], to_numbers(batch["image"]), **options)
        hops = [out[f"attention{hop + 1}"] for hop in range(model.num_hops)]
        return jnp.argmax(logits, axis=-1), jnp.stack(hops, axis=1)

    return lambda variables, test: jax.device_get(read(variables, test))
