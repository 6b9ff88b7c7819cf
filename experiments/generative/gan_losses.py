"""The generator's gradient under a discriminator that gets ever better: least squares against the cross-entropy.

    python -m experiments run gan_losses

The generator is the initial one, of points far inside a ring of Gaussians; for each objective the discriminator makes
updates against it, and the norm of the generator's gradient is measured. Losses are compared by the logarithm of this
norm at the end, and by its change from the first tenth on. Then both play, with five updates of the discriminator for
one of the generator, and the covered modes of the ring are counted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import configuration, games, generative_plots
from experiments.harness.claims import Statement, judge_all
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from jaxdl import generative, optim, tasks, tree
from jaxdl.train import Metrics
from jaxdl.typing import Key, PyTree

CLAIMS = (28,)
OBJECTIVES = ("saturating", "non_saturating", "least_squares", "wasserstein")
ROUNDS, POINTS = 5, 20


@dataclass(frozen=True)
class Config(configuration.Config):
    """Losses of a generator against a good discriminator."""

    SMOKE = {"seeds": 2, "steps": 20, "game_steps": 2, "batch_size": 4, "hidden_size": 4, "objectives": OBJECTIVES[:3]}
    LEAST = {"seeds": 2, "steps": POINTS}
    CHOICES = {"objectives": (OBJECTIVES, OBJECTIVES[:3])}

    seeds: int = 8
    """Independent runs of each objective."""
    steps: int = 1000
    """Updates of the discriminator against the fixed generator."""
    game_steps: int = 600
    """Updates of the generator in the game."""
    batch_size: int = 64
    """Points in an update."""
    hidden_size: int = 32
    """Units of each hidden layer."""
    learning_rate: float = 1e-3
    """Rate of Adam, whose first decay is 0.5."""
    objectives: tuple[str, ...] = OBJECTIVES
    """Losses to compare; the first three must be among them."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Measure the gradients, play, judge, draw."""
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    found = {name: jax.device_get(jax.jit(jax.vmap(partial(follow, config, name)))(keys)) for name in config.objectives}
    curves = {name: np.log10(one["gradient"] + 1e-30) for name, one in found.items()}
    played = {name: jax.device_get(jax.jit(jax.vmap(partial(play, config, name)))(keys)) for name in config.objectives}
    modes = {name: np.asarray(one["modes"], float) for name, one in played.items()}
    judge_all(run, statements(curves, modes))
    run.figure("gradients", generative_plots.draw_gradients(curves, config.steps))
    run.figure("modes", generative_plots.draw_groups(modes, "modes covered, of 8"))
    return means(log10_gradient={name: curve[:, -1] for name, curve in curves.items()}, modes=modes)


def make_game(config: Config, objective: str) -> tuple[dict, tasks.Game, dict]:
    """Make the networks, the game and the optimizers; the critic of the Wasserstein objective has a penalty."""
    players = games.networks((config.hidden_size,) * 2, 2)
    penalty = 1.0 if objective == "wasserstein" else 0.0
    objectives = {"objective": getattr(generative, objective)(), "penalty_weight": penalty}
    game = tasks.gan(**players, **objectives, latent_size=games.LATENT, inputs="x")
    return players, game, dict.fromkeys(game.losses, optim.adam(config.learning_rate, b1=0.5))


def follow(config: Config, objective: str, key: Key) -> Metrics:
    """Train the discriminator alone; return the norm of the generator's gradient ``[POINTS]``."""
    _, game, optimizers = make_game(config, objective)
    batch = {"x": jnp.zeros((512, 2))}

    def gradient(variables: PyTree) -> Metrics:
        slopes = jax.grad(lambda variables: game.losses["generator"](variables, batch, jax.random.key(2))[0])(variables)
        return {"gradient": tree.norm(slopes["params"]["generator"])}

    fixed = {**optimizers, "generator": optim.sgd(0.0)}
    _, metrics = games.play(
        game,
        fixed,
        lambda key: {"x": games.draw_ring(key, config.batch_size)},
        config.steps,
        key,
        follow=gradient,
        every=config.steps // POINTS,
    )
    return {"gradient": metrics["gradient"]}


def play(config: Config, objective: str, key: Key) -> Metrics:
    """Play against a discriminator with many updates; return the coverage of the ring."""
    players, game, optimizers = make_game(config, objective)
    variables, _ = games.play(
        game,
        optimizers,
        lambda key: {"x": games.draw_ring(key, ROUNDS * config.batch_size)},
        config.game_steps,
        key,
        updates={"discriminator": ROUNDS},
    )
    return games.coverage(games.generate(players["generator"], variables, jax.random.key(1), 2000))


def statements(curves: Mapping[str, np.ndarray], modes: Mapping[str, np.ndarray]) -> Iterator[Statement]:
    """State what the gradients and the games of every seed show."""
    squares = curves["least_squares"]
    change = {name: curve[:, -1] - curve[:, POINTS // 10] for name, curve in curves.items()}
    measure = "log10 of the generator's gradient, least squares minus"
    for name in ("saturating", "non_saturating"):
        words = name.replace("_", "-")
        statement = f"least squares leave the generator a larger gradient than the {words} loss"
        yield Statement(28, statement, f"{measure} {words}, at the end", squares[:, -1] - curves[name][:, -1])
        statement = f"least squares keep more of the generator's gradient than the {words} loss"
        yield Statement(28, statement, f"{measure} {words}, change", change["least_squares"] - change[name])
        statement = f"against a good discriminator least squares cover more modes than the {words} loss"
        yield Statement(28, statement, "modes, of 8", modes["least_squares"] - modes[name])
