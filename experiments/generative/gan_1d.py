"""The best discriminator of two Gaussians, and a game on the line that ends with the density of the data.

    python -m experiments run gan_1d

First the generator is fixed, N(-0.5, 1), against data of N(1, 0.6^2): a discriminator of two hidden layers learns, with
the label 1 for real numbers and with 0.9, and is compared with the optimum ``r p_d / (p_d + p_g)``; the error is the
mean absolute difference under both densities. Then both play, with the non-saturating loss and the label 0.9: the error
is the Wasserstein distance of 4,096 generated numbers from the data.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from scipy.stats import wasserstein_distance

from experiments.harness import configuration
from experiments.harness.generative import games, plots
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from jaxdl import generative, optim, tasks, train
from jaxdl.train import Metrics
from jaxdl.typing import Array, Key, PyTree

GOAL = {"optimal_error": 0.03, "smoothed_error": 0.03, "game_error": 0.15}
DATA, FIXED = (1.0, 0.6), (-0.5, 1.0)
GRID = np.linspace(-4, 4, 161)
LABELS = {"optimal": 1.0, "smoothed": 0.9}
SHOWN = 5


@dataclass(frozen=True)
class Config(configuration.Config):
    """Two players on the line."""

    SMOKE = {"seeds": 2, "steps": 10, "batch_size": 8, "hidden_size": 4}
    LEAST = {"seeds": 2, "steps": SHOWN}

    seeds: int = 6
    """Independent runs."""
    steps: int = 3000
    """Updates of each player."""
    batch_size: int = 256
    hidden_size: int = 32
    """Units of the two hidden layers."""
    learning_rate: float = 1e-3
    """Rate of Adam, whose first decay is 0.5."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Learn discriminators of a fixed generator, play, compare, draw."""
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    weight = np.exp(norm.logpdf(GRID, *DATA)) + np.exp(norm.logpdf(GRID, *FIXED))
    fixed, errors = {}, {}
    for name, label in LABELS.items():
        best = generative.optimal_discriminator(norm.logpdf(GRID, *DATA), norm.logpdf(GRID, *FIXED), label)
        found = jax.device_get(jax.jit(jax.vmap(partial(discriminate, config, label)))(keys))
        fixed[name] = (np.asarray(best), found)
        errors[name] = np.average(np.abs(found - fixed[name][0]), axis=-1, weights=weight)
    played = jax.device_get(jax.jit(jax.vmap(partial(play, config)))(keys))
    real = norm.ppf((np.arange(4096) + 0.5) / 4096, *DATA)
    errors["game"] = np.array([wasserstein_distance(x[-1], real) for x in played["x"]])
    run.figure("optimum", plots.draw_optima(GRID, fixed, {"data": DATA, "generated": FIXED}))
    run.figure("game", plots.draw_line(GRID, played, norm.pdf(GRID, *DATA), config.steps))
    return {name.removeprefix("error_") + "_error": value for name, value in means(error=errors).items()}


def optimizers(config: Config) -> dict[str, Any]:
    """Make the optimizers of both players."""
    return {player: optim.adam(config.learning_rate, b1=0.5) for player in ("discriminator", "generator")}


def discriminate(config: Config, label: float, key: Key) -> Array:
    """Learn against the fixed generator; return the probabilities on the grid."""
    objective = generative.non_saturating(label)
    network = games.networks((config.hidden_size,) * 2, 1)["discriminator"]
    init_key, key = jax.random.split(key)
    variables = network.init(init_key, jnp.zeros((1, 1)))
    optimizer = optim.adam(optim.schedules.cosine_decay(3 * config.learning_rate, config.steps))

    def loss(variables: PyTree, batch: Any, key: Key) -> tuple[Array, tuple[dict, Metrics]]:
        real, fake = (network.apply(variables, batch[name]) for name in ("real", "fake"))
        return objective.discriminator(real, fake), ({}, {})

    step = train.make_step(loss, optimizer)

    def update(state: train.TrainState, key: Key) -> tuple[train.TrainState, None]:
        noise = jax.random.normal(key, (2, config.batch_size, 1))
        batch = {"real": DATA[0] + DATA[1] * noise[0], "fake": FIXED[0] + FIXED[1] * noise[1]}
        return step(state, batch)[0], None

    state = train.TrainState.create(variables, optimizer, key)
    state, _ = jax.lax.scan(update, state, jax.random.split(key, config.steps))
    logits: Any = network.apply(state.variables, jnp.asarray(GRID)[:, None])
    return jax.nn.sigmoid(logits[:, 0])


def play(config: Config, key: Key) -> Metrics:
    """Play; return what is generated, and the probabilities on the grid, at several times, the last one included."""
    players = games.networks((config.hidden_size,) * 2, 1)
    game = tasks.gan(**players, objective=generative.non_saturating(0.9), latent_size=games.LATENT, inputs="x")

    def sample(key: Key) -> dict[str, Array]:
        return {"x": DATA[0] + DATA[1] * jax.random.normal(key, (config.batch_size, 1))}

    def follow(variables: PyTree) -> Metrics:
        own = tasks.player_variables(variables, "discriminator")
        logits: Any = players["discriminator"].apply(own, jnp.asarray(GRID)[:, None])
        x = games.generate(players["generator"], variables, jax.random.key(1), 4096)[:, 0]
        return {"x": x, "probability": jax.nn.sigmoid(logits[:, 0])}

    every = config.steps // (SHOWN - 1)
    variables, metrics = games.play(
        game, optimizers(config), sample, every * (SHOWN - 1), key, follow=follow, every=every
    )
    last = follow(variables)
    return {name: jnp.concatenate([metrics[name], last[name][None]]) for name in last}
