"""Agents of several seeds, trained as one program in a run folder, and what is measured of them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from experiments.harness import training
from experiments.harness.configuration import Config
from experiments.harness.errors import UsageError, preparing
from experiments.harness.run_folder import Run
from jaxdl import models, nn, rl, train
from jaxdl.rl import environments
from jaxdl.typing import Array, Key, PyTree

SAVES = 5
"""Checkpoints of a run."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Agents(Config):
    """Agents of several seeds."""

    seeds: int = 8
    """Independent runs, trained together."""
    steps: int = 200
    """Updates."""
    learning_rate: float = 5e-3
    """First rate of Adam, which decays to 0 by a cosine."""
    discount: float = 0.99
    """Of rewards."""
    episodes: int = 100
    """Episodes of the final test of each seed."""


class PixelFeatures(linen.Module):
    """Two convolutions 3x3 of 16 and 32 channels and a dense layer, with ReLU: features of small images."""

    hidden_size: int = 64

    @linen.compact
    def __call__(self, x: Array) -> Array:
        """Map images ``[B, H, W, C]`` to features ``[B, hidden_size]``."""
        for place, channels in enumerate((16, 32), start=1):
            x = jax.nn.relu(nn.Conv(channels, (3, 3), padding=1, name=f"conv{place}")(x))
        return jax.nn.relu(linen.Dense(self.hidden_size, name="dense")(x.reshape(len(x), -1)))


class PolicyAndValues(linen.Module):
    """Two networks, one for the logits of a policy and one for the values, whose unit is that of the returns."""

    hidden_sizes: tuple[int, ...]
    num_actions: int
    unit: float

    @linen.compact
    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Map observations ``[B, ...]`` to logits ``[B, A]`` and values ``[B]``."""
        tanh = partial(models.MLP, self.hidden_sizes, activation="tanh")
        logits: Any = tanh(num_classes=self.num_actions, name="policy")(x)
        values: Any = tanh(num_classes=1, name="values")(x)
        return logits, self.unit * values[:, 0]


def q_network(hidden_sizes: tuple[int, ...], num_actions: int, *, pixels: bool, dueling: bool) -> linen.Module:
    """Make a network of the values of actions: hidden layers, or convolutions first for pixels, and a head."""
    features = PixelFeatures(hidden_sizes[-1]) if pixels else models.MLP(hidden_sizes, num_classes=0)
    head = rl.DuelingHead(num_actions) if dueling else linen.Dense(num_actions)
    return linen.Sequential([features, head])


def first_observation(environment: environments.Environment) -> np.ndarray:
    """Return zeros of the shape of a batch of one observation."""
    form = jax.eval_shape(lambda key: environment.reset(key)[1], jax.random.key(0))
    return np.zeros((1, *form.shape), form.dtype)


def start_members(start: Callable[[Key], PyTree], seed: int, seeds: int) -> PyTree:
    """Make the states of all seeds, ``[seeds, ...]``."""
    return jax.jit(jax.vmap(start))(jax.random.split(jax.random.key(seed), seeds))


def train_members(
    run: Run, step: Callable[[Any, Any], tuple[Any, Any]], states: PyTree, *, steps: int, frames: int
) -> tuple[Any, list[Row]]:
    """Train the states of all seeds in a run folder; return them and the rows of the log, also of earlier parts.

    ``frames`` are those of all seeds in a step, for the progress bar.

    Raises:
        UsageError: the folder or a flag does not suit this run.
        Interrupted: a signal arrived, and the state was saved.
    """
    if run.mesh is not None or run.skip_nonfinite:
        raise UsageError(
            "expected neither --devices, --mesh nor --skip-nonfinite: all seeds are one program on one device"
        )
    loader: Any = rl.EmptyBatches(max(1, -(-steps // SAVES)), batch_size=frames)
    checkpoints = train.Checkpoints(run.shared / "checkpoints", config=run.identity)
    with preparing():
        if run.resume:
            states = training.restore(checkpoints, states, loader)
        checkpoints.prepare(states)
    metrics = train.MetricsFile(run.directory / "metrics.jsonl", step=training.step_of(states))
    begun = training.Start(states, checkpoints, metrics, None)
    epochs = steps / loader.steps_per_epoch
    states = training.advance(run, begun, jax.vmap(step, in_axes=(0, None)), loader, epochs=epochs)
    training.finish(run, begun, states)
    return states, metrics.read(metrics.path)


def act_greedily(apply: Callable[..., Array], params: PyTree) -> Callable[[np.ndarray], Array]:
    """Make the policy of all seeds for observations ``[seeds * episodes, ...]``, the episodes of a seed together."""
    seeds = len(jax.tree.leaves(params)[0])

    @jax.jit
    def act(observations: Array) -> Array:
        x = observations.reshape(seeds, -1, *observations.shape[1:])
        best = jax.vmap(lambda params, x: jnp.argmax(apply({"params": params}, x), axis=-1))(params, x)
        return best.reshape(-1)

    return act


def play_cart_pole(policy: Callable[[np.ndarray], Array], seeds: int, episodes: int, seed: int) -> np.ndarray:
    """Play episodes of CartPole-v1 in gymnasium itself; return their returns, ``[seeds, episodes]``."""
    try:
        import gymnasium
    except ImportError:
        raise UsageError("expected gymnasium to be installed; pip install gymnasium") from None
    count = seeds * episodes
    played = environments.play_gymnasium(lambda: gymnasium.make("CartPole-v1"), policy, count, seed=seed)
    return played.reshape(seeds, episodes)


def play_compiled(
    environment: environments.Environment, apply: Callable[..., Array], params: PyTree, episodes: int, steps: int
) -> dict[str, np.ndarray]:
    """Play episodes of a pure environment greedily with the parameters of all seeds, ``[seeds, episodes, T, ...]``."""

    def play(params: PyTree, key: Key) -> dict[str, Array]:
        def act(observation: Array, key: Key) -> Array:
            return jnp.argmax(apply({"params": params}, observation[None])[0])

        return rl.play_episode(environment, act, key, steps)

    over_keys = jax.vmap(play, in_axes=(None, 0))
    seeds = len(jax.tree.leaves(params)[0])
    keys = jax.random.split(jax.random.key(2**31), (seeds, episodes))
    return jax.device_get(jax.jit(jax.vmap(over_keys))(params, keys))


def curve(rows: list[Row], name: str, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the frames of a seed so far and a metric ``[seeds, reports]``, from the rows of the log."""
    x = np.array([row["step"] * frames for row in rows])
    return x, np.array([row[f"train/{name}"] for row in rows]).T


def summary(returns: np.ndarray) -> dict[str, float]:
    """Return the mean return ``[seeds, episodes]``, that of the worst seed, and its deviation over the seeds."""
    means = returns.mean(axis=1)
    return {
        "return": float(means.mean()),
        "return_worst_seed": float(means.min()),
        "return_deviation": float(means.std(ddof=1)) if len(means) > 1 else 0.0,
    }
