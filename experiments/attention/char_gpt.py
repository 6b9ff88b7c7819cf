"""A small GPT as a language model of characters.

    python -m experiments run char_gpt [--text FILE_OR_FOLDER] [--top-k 5]

The text and the baselines are those of `char_rnn`: a million characters of Python's standard library, n-grams and
compression. Unlike a recurrent network, the model sees its context only. In training, the rows have the length of the
context. Held-out rows overlap by half and only their second halves count, so that every character but the first 32 is
predicted from at least half a context.
"""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness.configuration import require
from experiments.harness.errors import preparing
from experiments.harness.run_folder import Run
from experiments.harness.sequences.characters import beside_baselines, read_characters
from experiments.harness.sequences.language import TextGeneration, curve, save_sample
from experiments.harness.supervised import Optimizer
from experiments.harness.training import train_task
from jaxdl import data, decode, models, train
from jaxdl.data import text
from jaxdl.models.stepping import step_function
from jaxdl.tasks.language import language_model
from jaxdl.typing import Array, Key, PyTree

GOAL = {"gain_over_trigram": 0.5}


@dataclass(frozen=True)
class Config(TextGeneration):
    """A text, a GPT and the settings of training."""

    SMOKE = {
        **TextGeneration.SMOKE,
        "characters": 2_000,
        "sample": 4,
        "epochs": 0.2,
        "batch_size": 4,
        "context_length": 8,
        "d_model": 8,
        "num_layers": 1,
        "num_heads": 2,
    }
    FORMER = {"context": "context_length", "features": "d_model", "depth": "num_layers", "heads": "num_heads"}

    min_count: int = 5
    """Occurrences below which a character is unknown."""
    context_length: int = 64
    """Length of the context in characters."""
    d_model: int = 128
    """Size of the features."""
    num_layers: int = 3
    """Number of blocks."""
    num_heads: int = 4
    """Number of attention heads."""
    batch_size: int = 16
    """Rows in a batch."""
    epochs: float = 4.0
    """Passes over the text."""
    optimizer: Optimizer = field(
        default_factory=lambda: Optimizer("adamw", learning_rate=3e-3, warmup=0.05, weight_decay=0.01, clip_norm=1.0)
    )
    prompt: str = "\n    def "
    """Prompt of the sample."""

    def __post_init__(self) -> None:
        super().__post_init__()
        even = self.context_length >= 4 and self.context_length % 2 == 0
        require(even, "context-length", "an even number >= 4", self.context_length)
        divides = self.d_model % self.num_heads == 0
        require(divides, "num-heads", f"a divisor of --d-model {self.d_model}", self.num_heads)


def generate(config: Config, model: models.GPT, params: PyTree, prompt: np.ndarray) -> np.ndarray:
    """Sample after a prompt, half a context at a time, with the last half context as the prefix."""
    half = model.context_length // 2
    shape = {"temperature": config.temperature, "top_k": config.top_k, "top_p": config.top_p}

    @jax.jit
    def sample(variables: PyTree, key: Key, prefix: Array) -> Array:
        carry = model.init_carry((1,))
        _, features = model.apply(variables, prefix[None, :-1], carry, return_intermediates=True)
        step, carry = step_function(model, variables), features["carry"]
        return decode.sample(key, step, carry, prefix[-1:], max_length=half, **shape).tokens[0]

    tokens, length = prompt, len(prompt) + config.sample
    while len(tokens) < length:
        key = jax.random.fold_in(jax.random.key(config.seed), len(tokens))
        tokens = np.concatenate([tokens, sample({"params": params}, key, jnp.asarray(tokens[-half:]))])
    return tokens[:length]


def run(config: Config, run: Run) -> dict[str, float]:
    """Train, compare with the baselines, generate."""
    characters = read_characters(config, config.min_count)
    vocabulary, tokens, baselines = characters
    with preparing():
        rows = text.streams(tokens[0], -(-(len(tokens[0]) - 1) // config.context_length))
        loader = data.Loader(rows, config.batch_size, seed=config.seed)
    vocabulary.save(run.directory / "vocabulary.json")
    sizes = {name: getattr(config, name) for name in ("context_length", "d_model", "num_layers", "num_heads")}
    model = models.create("gpt_tiny", vocab_size=len(vocabulary), **sizes)
    optimizer = config.optimizer.make(train.count_steps(config.epochs, loader.steps_per_epoch))
    task = language_model(model, unit="character", window=None)
    test = text.overlapping_rows(tokens[1], config.context_length)
    state, result = train_task(run, task, loader, optimizer, test, epochs=config.epochs)
    run.figure("curve", curve(run, "character", baselines))
    prompt = vocabulary.encode(config.prompt or "\n")
    save_sample(run, "".join(vocabulary.decode(generate(config, model, state.params, prompt))))
    return beside_baselines(result, characters)
