"""Mode collapse: eight Gaussians on a ring, and how many of them each objective generates.

    python -m experiments run gan_ring

Generator and discriminator have two hidden layers; the critic of the Wasserstein objective makes five updates for one
of the generator, with a gradient penalty. "Overtrained" is the non-saturating game in which the generator makes ten
updates for one of the discriminator, and so runs to what that one takes for real: it collapses. A mode is covered if
at least a fifth of its share of 2,000 generated points is within three deviations of its centre; ``near`` is the
share of all points that are near any.
"""

from dataclasses import dataclass
from functools import partial

import jax
import numpy as np

from experiments.harness import configuration
from experiments.harness.generative import games, plots
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from jaxdl import generative, optim, tasks
from jaxdl.train import Metrics
from jaxdl.typing import Key, PyTree

GOAL = {"modes_wasserstein": 7.0, "near_wasserstein": 0.5, "modes_lost_overtrained": 3.0}
OBJECTIVES = ("saturating", "non_saturating", "least_squares", "wasserstein", "overtrained")
UPDATES = {"wasserstein": {"discriminator": 5}, "overtrained": {"generator": 10}}
PENALTY = 1.0
SHOWN = 5


@dataclass(frozen=True)
class Config(configuration.Config):
    """Objectives on a ring of Gaussians."""

    SMOKE = {"seeds": 2, "steps": 8, "batch_size": 4, "hidden_size": 4, "objectives": ("wasserstein", "overtrained")}
    LEAST = {"seeds": 2, "steps": SHOWN}
    CHOICES = {"objectives": (OBJECTIVES, ("wasserstein", "overtrained"))}

    seeds: int = 4
    """Independent runs of each objective."""
    steps: int = 2500
    """Updates of the generator."""
    batch_size: int = 64
    """Points in an update."""
    hidden_size: int = 64
    """Units of each hidden layer."""
    learning_rate: float = 1e-3
    """Rate of Adam, whose first decay is 0.5."""
    objectives: tuple[str, ...] = OBJECTIVES
    """Games to compare; wasserstein and overtrained must be among them."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Play with every objective, count the modes, draw."""
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    found = {name: jax.device_get(jax.jit(jax.vmap(partial(play, config, name)))(keys)) for name in config.objectives}
    run.figure("samples", plots.draw_ring({name: one["x"] for name, one in found.items()}, config.steps))
    last = {part: {name: one[part][:, -1] for name, one in found.items()} for part in ("modes", "near")}
    run.figure("modes", plots.draw_coverage({name: one["modes"] for name, one in found.items()}, last))
    lost = last["modes"]["wasserstein"] - np.mean(last["modes"]["overtrained"])
    found = {part: {name: np.asarray(x, float) for name, x in each.items()} for part, each in last.items()}
    return {**means(**found), "modes_lost_overtrained": float(np.mean(lost))}


def play(config: Config, objective: str, key: Key) -> Metrics:
    """Play; return the points and their coverage at several times."""
    players = games.networks((config.hidden_size,) * 2, 2)
    updates = UPDATES.get(objective, {})
    rounds = max([1, *updates.values()])
    game = tasks.gan(
        **players,
        objective=generative.non_saturating() if objective == "overtrained" else getattr(generative, objective)(),
        latent_size=games.LATENT,
        penalty_weight=PENALTY if objective == "wasserstein" else 0.0,
        inputs="x",
    )
    optimizers = {player: optim.adam(config.learning_rate, b1=0.5) for player in ("discriminator", "generator")}

    def follow(variables: PyTree) -> Metrics:
        x = games.generate(players["generator"], variables, jax.random.key(1), 2000)
        return {"x": x, **games.coverage(x)}

    every = config.steps // (SHOWN - 1)
    variables, metrics = games.play(
        game,
        optimizers,
        lambda key: {"x": games.draw_ring(key, rounds * config.batch_size)},
        every * (SHOWN - 1),
        key,
        updates=updates,
        follow=follow,
        every=every,
    )
    last = follow(variables)
    return {name: jax.numpy.concatenate([metrics[name], last[name][None]]) for name in last}
