"""WaveNet learns sound, sample by sample, and makes some: a WAV file.

    python -m experiments run wavenet_sound
    python -m experiments run wavenet_sound --data-dir FOLDER --rate 8000 --epochs 60

By default the sound is a melody, a random walk over a pentatonic scale at 4 kHz; ``--data-dir`` reads all WAV files of
a folder, speech for instance. Samples have 256 levels of the mu-law. The bits per sample on the last tenth of the sound
are compared with those of the frequencies of the levels, and of the levels given the sample before. The layers' queues
are cached, so that a new sample costs one step of every layer; ``sample.wav`` starts from held-out sound.
"""

from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import figures
from experiments.harness.configuration import Config as Base
from experiments.harness.errors import UsageError
from experiments.harness.run_folder import Run
from experiments.harness.sequences import sounds
from experiments.harness.sequences.ngrams import bits
from experiments.harness.training import train_task
from jaxdl import data, decode, models, optim, tasks, train
from jaxdl.data import audio
from jaxdl.optim.schedules import cosine_decay
from jaxdl.typing import PyTree

LEVELS = 256
GOAL = {"gain_over_bigram": 0.3}


@dataclass(frozen=True)
class Config(Base):
    """WaveNet on sound."""

    SMOKE = {
        "seconds": 3.0,
        "epochs": 1,
        "batch_size": 2,
        "length": 64,
        "dilations": (1, 2),
        "channels": 4,
        "sample_seconds": 0.1,
    }
    LEAST = {"rate": 1000, "length": 2}
    POSITIVE = ("seconds", "sample_seconds")

    data_dir: Path | None = None
    """Folder of WAV files; None for a melody."""
    rate: int = 4000
    """Samples per second."""
    seconds: float = 40.0
    """Length of the melody, or of the sound that is used of a folder."""
    epochs: int = 20
    """Passes over the sound."""
    batch_size: int = 8
    """Windows in an update."""
    length: int = 1024
    """Samples of a window."""
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256)
    """Dilations of the layers."""
    channels: int = 32
    """Channels of the layers; the skip connections have twice as many."""
    learning_rate: float = 2e-3
    """Largest rate of Adam, with a cosine decay."""
    sample_seconds: float = 2.0
    """Length of the sound that is made."""
    temperature: float = 0.9
    """Of the sampling."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seconds * self.rate < 20 * self.length:
            raise ValueError(f"--seconds: expected at least 20 windows of --length, got {self.seconds}")


def run(config: Config, run: Run) -> dict[str, float]:
    """Train on windows, compare with counts, make a sound."""
    sound = read_sound(config)
    codes = np.asarray(jax.jit(audio.mu_law_encode)(sound.astype(np.float32)), np.int32)
    parts = np.split(codes, [9 * len(codes) // 10])
    train_arrays, test_arrays = (windows(part, config.length) for part in parts)
    model = models.WaveNet(
        num_classes=LEVELS,
        dilations=config.dilations,
        residual_channels=config.channels,
        gate_channels=config.channels,
        skip_channels=2 * config.channels,
    )
    loader = data.Loader(train_arrays, min(config.batch_size, len(train_arrays["token"])), seed=config.seed)
    steps = train.count_steps(config.epochs, loader.steps_per_epoch)
    optimizer = optim.adam(cosine_decay(config.learning_rate, steps))
    task = tasks.language_model(model, window=None, unit="sample")
    state, result = train_task(run, task, loader, optimizer, test_arrays, epochs=config.epochs)
    history = train.MetricsFile.read(run.directory / "metrics.jsonl")
    run.figure("curves", figures.curves(history, ("bits_per_sample",)))
    baselines = count_bits(*parts)
    made, prompt = make_sound(config, model, state.variables, parts[1])
    for name, samples in {"sample": made, "training": sound[: int(config.sample_seconds * config.rate)]}.items():
        sounds.write_sound(run.directory / f"{name}.wav", samples, config.rate)
    held_out = sound[len(parts[0]) :][: len(made)]
    pictures = {"held out": held_out, f"made, after {prompt / config.rate:.2g} s of it": made}
    run.figure("spectrograms", sounds.draw_spectrograms(pictures, config.rate, columns=2))
    gain = baselines["bigram"] - result["bits_per_sample"]
    counted = {f"bits_{name}": value for name, value in baselines.items()}
    return result | counted | {"gain_over_bigram": gain, "receptive_field": model.receptive_field}


def read_sound(config: Config) -> np.ndarray:
    """Make a melody, or join the files of a folder, ``[L]``."""
    if config.data_dir is None:
        return sounds.melody(np.random.default_rng(config.seed), config.seconds, config.rate)
    found = np.concatenate(list(sounds.read_sounds(config.data_dir, config.rate).values()))
    if len(found) < 20 * config.length:
        raise UsageError(f"expected at least {20 * config.length} samples in {config.data_dir}, got {len(found)}")
    return found[: int(config.seconds * config.rate)]


def windows(codes: np.ndarray, length: int) -> dict[str, np.ndarray]:
    """Cut codes into windows, with the sample that follows each, ``[N, length]``."""
    count = (len(codes) - 1) // length
    cut = [codes[start : start + count * length].reshape(count, length) for start in (0, 1)]
    return dict(zip(("token", "target"), cut, strict=True))


def count_bits(learned: np.ndarray, tested: np.ndarray) -> dict[str, float]:
    """Return the bits per held-out sample by smoothed counts of samples, and of pairs of samples."""
    unigrams = np.bincount(learned, minlength=LEVELS) + 1.0
    shares = unigrams / unigrams.sum()
    pairs = np.zeros((LEVELS, LEVELS)) + 10 * shares
    np.add.at(pairs, (learned[:-1], learned[1:]), 1)
    pairs /= pairs.sum(axis=1, keepdims=True)
    probabilities = {"unigram": shares[tested[1:]], "bigram": pairs[tested[:-1], tested[1:]]}
    return {name: bits(p) for name, p in probabilities.items()}


def make_sound(config: Config, model: models.WaveNet, variables: PyTree, codes: np.ndarray) -> tuple[np.ndarray, int]:
    """Continue held-out codes; return the samples with the prompt, and the length of the prompt."""
    prompt = min(model.receptive_field, len(codes))
    count = max(2, int(config.sample_seconds * config.rate))

    @jax.jit
    def generate(variables: PyTree, start: jax.Array) -> jax.Array:
        carry, _ = model.apply(variables, start[:, :-1], method="prefill")
        step, key = models.step_function(model, variables), jax.random.key(config.seed)
        options = {"max_length": count, "temperature": config.temperature}
        return decode.sample(key, step, carry, start[:, -1], **options).tokens

    start = jnp.asarray(codes[None, :prompt])
    made = np.concatenate([codes[:prompt], np.asarray(generate(variables, start))[0]])
    return np.asarray(jax.jit(audio.mu_law_decode)(made)), prompt
