"""Translation without pairs: cycle consistency against collapse, on points and on images.

    python -m experiments run cycle_gan

Points of eight Gaussians on a ring are translated to two rows of four, and back, by networks with two hidden layers,
with the cycle weight 10 and with 0. The mutual information of the mode before and the nearest mode after a translation,
3 bits for one that is one to one, is lower the more modes collapse to one or are torn apart. Then CycleGAN, with
residual blocks, learns to colour line art of one set of drawings from the colours of another; ``outline_kept`` is the
correlation of the dark pixels of a held-out drawing before and after its translation.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import configuration
from experiments.harness.claims import Statement, judge_all
from experiments.harness.errors import preparing
from experiments.harness.generative import games, line_art, plots
from experiments.harness.generative.snapshots import Snapshots
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from experiments.harness.training import train_game
from jaxdl import data, models, optim, tasks
from jaxdl.train import Metrics
from jaxdl.typing import Array, ArrayLike, Key, PyTree

CLAIMS = (29,)
GOAL = {"outline_kept": 0.7}
WEIGHTS = {"with cycles": 10.0, "without": 0.0}


@dataclass(frozen=True)
class Config(configuration.Config):
    """CycleGAN on points and on drawings."""

    SMOKE = {"seeds": 2, "steps": 2, "epochs": 1.0, "examples": 2, "tested": 2, "batch_size": 2, "side": 16, "width": 2}
    SMOKE |= {"hidden_size": 2, "num_blocks": 1}
    LEAST = {"seeds": 2}
    POSITIVE = ("epochs",)

    seeds: int = 6
    """Independent runs on points."""
    steps: int = 1500
    """Updates on points."""
    hidden_size: int = 32
    """Units of each hidden layer of the networks for points."""
    epochs: float = 40.0
    """Passes over the drawings."""
    examples: int = 320
    """Drawings of each set."""
    tested: int = 32
    """Held-out drawings."""
    batch_size: int = 4
    """Drawings in an update."""
    side: int = 32
    """Height and width of a drawing."""
    width: int = 8
    """Channels of the largest layers."""
    num_blocks: int = 2
    """Residual blocks."""
    learning_rate: float = 5e-4
    """Rate of Adam, whose first decay is 0.5."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Translate points with and without cycles, judge; translate drawings, measure, draw."""
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    learn = jax.jit(jax.vmap(partial(translate_points, config), in_axes=(None, 0)))
    found = {name: jax.device_get(learn(weight, keys)) for name, weight in WEIGHTS.items()}
    information = {name: np.array([mutual_information(x) for x in one["joint"]]) for name, one in found.items()}
    near = {name: one["near"] for name, one in found.items()}
    judge_all(run, statements(information, near))
    run.figure("points", plots.draw_points({name: one["pairs"][0] for name, one in found.items()}))
    run.figure("information", plots.draw_groups(information, "mutual information of modes (bits, of 3)"))
    return {**means(information=information, near=near), **translate_drawings(config, run)}


def rows() -> Array:
    """Return the centres of two rows of four Gaussians, ``[8, 2]``."""
    return jnp.array([[x, y] for y in (-1.0, 1.0) for x in (-1.8, -0.6, 0.6, 1.8)])


def translate_points(config: Config, weight: Array, key: Key) -> Metrics:
    """Learn both directions; return the counts of modes before and after, the share near a mode, and some pairs."""
    players = games.networks((config.hidden_size,) * 2, 2)
    game = tasks.cycle_gan(**players, cycle_weight=weight, identity_weight=0.0)
    optimizers = {player: optim.adam(config.learning_rate, b1=0.5) for player in game.losses}

    def sample(key: Key) -> dict[str, Array]:
        a_key, mode_key, noise_key = jax.random.split(key, 3)
        noise = games.DEVIATION * jax.random.normal(noise_key, (128, 2))
        return {"a": games.draw_ring(a_key, 128), "b": rows()[jax.random.randint(mode_key, (128,), 0, 8)] + noise}

    variables, _ = games.play(game, optimizers, sample, config.steps, key, simultaneous=True)
    a = games.draw_ring(jax.random.key(1), 2000)
    own = tasks.player_variables(tasks.player_variables(variables, "generator"), "a_to_b")
    b = jnp.asarray(players["generator"].apply(own, a))
    distances = jnp.linalg.norm(b[:, None] - rows()[None], axis=-1)
    joint = jnp.zeros((8, 8)).at[games.nearest_modes(a)[0], jnp.argmin(distances, axis=-1)].add(1)
    near = jnp.mean(jnp.min(distances, axis=-1) < 3 * games.DEVIATION)
    return {"joint": joint, "near": near, "pairs": jnp.stack([a, b])[:, :400]}


def mutual_information(counts: np.ndarray) -> float:
    """Return the mutual information of the rows and the columns of a table of counts, in bits."""
    joint = counts / counts.sum()
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    there = joint > 0
    return float(np.sum(joint[there] * np.log2(joint[there] / apart[there])))


def translate_drawings(config: Config, run: Run) -> dict[str, float]:
    """Learn to colour line art without pairs; measure how much of the outlines is kept."""
    random = np.random.default_rng(config.seed)
    arrays = {name: line_art.draw_pairs(random, config.examples, config.side)[name] for name in "ab"}
    held_out = line_art.draw_pairs(random, config.tested, config.side)
    with preparing():
        loader = data.Loader(arrays, config.batch_size, seed=config.seed, **run.share)
    generator = models.CycleGANGenerator(3, config.width, config.num_blocks)
    discriminator = models.PatchDiscriminator((config.width, 2 * config.width), "instance")
    game = tasks.cycle_gan(generator, discriminator)
    optimizers = {player: optim.adam(config.learning_rate, b1=0.5) for player in game.losses}
    apply = jax.jit(generator.apply)

    def translate(variables: PyTree, name: str, images: ArrayLike) -> Array:
        return apply(tasks.player_variables(tasks.player_variables(variables, "generator"), name), images)

    def colour(variables: PyTree) -> Array:
        return translate(variables, "a_to_b", held_out["a"])

    snapshots = Snapshots(run, lambda variables: colour(variables)[:12])
    state, result = train_game(
        run, game, loader, optimizers, epochs=config.epochs, simultaneous=True, hooks=[snapshots]
    )
    coloured = np.asarray(colour(state.variables))
    back = np.asarray(translate(state.variables, "b_to_a", coloured))
    run.figure("progress", plots.draw_progress(snapshots.read()))
    columns = {"line art": held_out["a"], "coloured": coloured, "and back": back}
    run.figure("drawings", plots.draw_translations(columns))
    dark = [images.max(axis=-1).ravel() < -0.2 for images in (held_out["a"], coloured)]
    kept = np.corrcoef(*dark)[0, 1] if all(0 < np.mean(each) < 1 for each in dark) else 0.0
    return {"outline_kept": float(kept), "cycle_error": float(np.abs(back - held_out["a"]).mean()), **result}


def statements(information: Mapping[str, np.ndarray], near: Mapping[str, np.ndarray]) -> Iterator[Statement]:
    """State what the translations of every seed show."""
    gained = information["with cycles"] - information["without"]
    statement = "cycle consistency keeps modes apart that unpaired translation mixes"
    yield Statement(29, statement, "mutual information of modes, with cycles minus without (bits)", gained)
    statement = "with cycles most of the information is kept"
    yield Statement(29, statement, "mutual information of modes (bits)", information["with cycles"], above=2.5)
    statement = "a translation with cycles still ends in the other set"
    yield Statement(29, statement, "share of points near a mode", near["with cycles"], above=0.5, within=(0, 1))
