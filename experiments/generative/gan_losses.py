"""The generator's gradient under a discriminator that gets ever better: least squares against the cross-entropy.

    python -m experiments run gan_losses

The generator is the initial one, of points far inside a ring of Gaussians; for each objective the discriminator makes
updates against it, and the norm of the generator's gradient is measured. Losses are compared by the logarithm of this
norm at the end, and by its change from the first tenth on. Then both play, with five updates of the discriminator for
one of the generator, and the covered modes of the ring are counted.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import configuration
from experiments.harness.claims import Statement, judge_all
from experiments.harness.generative import games, plots
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from jaxdl import generative, optim, tasks, tree
from jaxdl.train import Metrics
from jaxdl.typing import Array, Key, PyTree

CLAIMS = (28,)
OBJECTIVES = ("saturating", "non_saturating", "least_squares", "wasserstein")
ROUNDS, POINTS = 5, 20
Measure = Callable[..., Metrics]
"""``measure(config, names, penalty_weight, number, key)`` of the objective of a number among names."""


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
    curves = {name: np.log10(one["gradient"] + 1e-30) for name, one in measure_all(config, follow, keys).items()}
    modes = {name: np.asarray(one["modes"], float) for name, one in measure_all(config, play, keys).items()}
    judge_all(run, statements(curves, modes))
    run.figure("gradients", plots.draw_gradients(curves, config.steps))
    run.figure("modes", plots.draw_groups(modes, "modes covered, of 8"))
    return means(log10_gradient={name: curve[:, -1] for name, curve in curves.items()}, modes=modes)


def measure_all(config: Config, measure: Measure, keys: Key) -> dict[str, Metrics]:
    """Measure all objectives with all keys, as one program those without and as one those with a penalty."""
    found = {}
    for penalty_weight in (0.0, 1.0):
        names = [name for name in config.objectives if (name == "wasserstein") == (penalty_weight > 0)]
        if names:
            over_keys = jax.vmap(partial(measure, config, names, penalty_weight), (None, 0))
            of_all = jax.device_get(jax.jit(jax.vmap(over_keys, (0, None)))(np.arange(len(names)), keys))
            found |= {name: tree.take(of_all, number) for number, name in enumerate(names)}
    return {name: found[name] for name in config.objectives}


def make_game(config: Config, names: Sequence[str], penalty_weight: float, number: Array) -> tuple[dict, tasks.Game]:
    """Make the networks, and their game with the objective of a number, which may be traced."""
    players = games.networks((config.hidden_size,) * 2, 2)
    made = [getattr(generative, name)() for name in names]
    objective = generative.AdversarialObjective(
        *(
            lambda *logits, losses=losses: jnp.stack([loss(*logits) for loss in losses])[number]
            for losses in zip(*made, strict=True)
        )
    )
    options = {"objective": objective, "penalty_weight": penalty_weight, "latent_size": games.LATENT, "inputs": "x"}
    return players, tasks.gan(**players, **options)


def follow(config: Config, names: Sequence[str], penalty_weight: float, number: Array, key: Key) -> Metrics:
    """Train the discriminator alone; return the norm of the generator's gradient ``[POINTS]``."""
    _, game = make_game(config, names, penalty_weight, number)
    batch = {"x": jnp.zeros((512, 2))}

    def gradient(variables: PyTree) -> Metrics:
        slopes = jax.grad(lambda variables: game.losses["generator"](variables, batch, jax.random.key(2))[0])(variables)
        return {"gradient": tree.norm(slopes["params"]["generator"])}

    alone = {"discriminator": game.losses["discriminator"]}
    _, metrics = games.play(
        game._replace(losses=alone),
        dict.fromkeys(alone, optim.adam(config.learning_rate, b1=0.5)),
        lambda key: {"x": games.draw_ring(key, config.batch_size)},
        config.steps,
        key,
        follow=gradient,
        every=config.steps // POINTS,
    )
    return {"gradient": metrics["gradient"]}


def play(config: Config, names: Sequence[str], penalty_weight: float, number: Array, key: Key) -> Metrics:
    """Play against a discriminator with many updates; return the coverage of the ring."""
    players, game = make_game(config, names, penalty_weight, number)
    variables, _ = games.play(
        game,
        dict.fromkeys(game.losses, optim.adam(config.learning_rate, b1=0.5)),
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
