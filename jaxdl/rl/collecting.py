"""Experience of one environment: collection in a scan, whole episodes, n-step transitions; a loader without data."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import tree
from jaxdl.arrays import to_floating
from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.rl.environments.environment import Environment, Episode
from jaxdl.typing import Array, ArrayLike, Batch, Key, PyTree

Policy = Callable[[Array, Key], Array]
"""``policy(observation, key) -> action`` for one observation."""


def collect(
    environment: Environment, policy: Policy, episode: Episode, key: Key, steps: int
) -> tuple[Episode, dict[str, Array]]:
    """Act for a number of steps in one compiled scan; `jax.vmap` over episodes and keys acts in many environments.

    Args:
        environment: one with `auto_reset`.
        policy: chooses the action for an observation and a key.
        episode: the state of the environment, as the call before returned it.
        key: of the actions.
        steps: ``T``.

    Returns:
        The new state, and arrays ``[T, ...]``: ``observation``, ``action``, ``reward``, ``terminated``, ``truncated``,
        and ``next_observation``, which at the end of an episode is its last one.

    Raises:
        ValueError: there are no steps.
        TypeError: the state is not that of `auto_reset`.

    >>> from jaxdl.rl.environments import auto_reset, catch
    >>> environment = auto_reset(catch(rows=3, columns=3))
    >>> stay = lambda observation, key: jnp.array(1)
    >>> episode, _ = environment.reset(jax.random.key(0))
    >>> episode, experience = collect(environment, stay, episode, jax.random.key(1), steps=4)
    >>> experience["terminated"].tolist(), experience["observation"].shape
    ([False, True, False, True], (4, 3, 3, 1))
    """
    check_positive_integer("steps", steps)
    if not isinstance(episode, Episode):
        raise TypeError(f"expected the state of an environment with auto_reset, got {type(episode).__name__}")

    def one(episode: Episode, key: Key) -> tuple[Episode, dict[str, Array]]:
        observation = episode.observation
        action = policy(observation, key)
        episode, time_step = environment.step(episode, action)
        experience = {
            "observation": observation,
            "action": action,
            "reward": time_step.reward,
            "terminated": time_step.terminated,
            "truncated": time_step.truncated,
            "next_observation": time_step.observation,
        }
        return episode, experience

    return jax.lax.scan(one, episode, jax.random.split(key, steps))


def play_episode(environment: Environment, policy: Policy, key: Key, max_steps: int) -> dict[str, Array]:
    """Play one episode in a compiled scan; `jax.vmap` over keys plays many.

    Args:
        environment: one without `auto_reset`.
        policy: chooses the action for an observation and a key.
        key: of the episode.
        max_steps: ``T``; an episode that is not over then is cut off.

    Returns:
        Arrays ``[T, ...]`` as those of `collect`, with ``mask``, 1 for the steps of the episode. After its end the
        observation stays, and the reward is 0: the return is the sum of the rewards.

    Raises:
        ValueError: there are no steps.

    >>> from jaxdl.rl.environments import catch
    >>> stay = lambda observation, key: jnp.array(1)
    >>> episode = play_episode(catch(rows=3, columns=1), stay, jax.random.key(0), max_steps=4)
    >>> episode["reward"].tolist(), episode["mask"].tolist()
    ([0.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0])
    """
    check_positive_integer("max_steps", max_steps)
    reset_key, act_key = jax.random.split(key)

    def one(carry: tuple, key: Key) -> tuple[tuple, dict[str, Array]]:
        state, observation, running = carry
        action = policy(observation, key)
        after, time_step = environment.step(state, action)
        time_step = time_step.as_arrays()

        def stay(new: PyTree, old: PyTree) -> PyTree:
            return jax.tree.map(lambda new, old: jnp.where(running, new, old), new, old)

        following = stay(time_step.observation, observation)
        experience = {
            "observation": observation,
            "action": action,
            "reward": jnp.where(running, time_step.reward, 0),
            "terminated": running & time_step.terminated,
            "truncated": running & time_step.truncated,
            "next_observation": following,
            "mask": running.astype(jnp.float32),
        }
        return (stay(after, state), following, running & ~time_step.ended), experience

    start = (*environment.reset(reset_key), jnp.ones((), bool))
    return jax.lax.scan(one, start, jax.random.split(act_key, max_steps))[1]


def n_step_transitions(experience: Batch, n: int, discount: ArrayLike) -> dict[str, Array]:
    """Join ``n`` steps of a trajectory to one transition, from every step of it.

    ``reward = r_t + d r_(t+1) + ... + d^(n-1) r_(t+n-1)``, and ``discount = d^n``, or 0 if a step terminates. A
    transition ends with its episode, and at the end of the trajectory.

    Args:
        experience: arrays ``[T, ...]`` of `collect`.
        n: at least 1.
        discount: ``d`` in [0, 1].

    Returns:
        ``observation``, ``action``, ``reward``, ``discount`` and ``next_observation``, each ``[T, ...]``: what
        `q_learning` needs.

    Raises:
        ValueError: ``n`` is below 1, or the discount outside of its range.

    >>> names = ("observation", "action", "next_observation")
    >>> never = jnp.zeros(3, bool)
    >>> experience = {**dict.fromkeys(names, jnp.arange(3)), "reward": jnp.ones(3), "truncated": never}
    >>> found = n_step_transitions({**experience, "terminated": jnp.array([False, True, False])}, n=2, discount=0.5)
    >>> found["reward"].tolist(), found["discount"].tolist(), found["next_observation"].tolist()
    ([1.5, 1.0, 1.0], [0.0, 0.0, 0.5], [1, 1, 2])
    """
    check_positive_integer("n", n)
    check_in_range("discount", discount, 0, 1)
    reward, terminated = to_floating(experience["reward"]), jnp.asarray(experience["terminated"], bool)
    length = reward.shape[0]
    factor = jnp.asarray(discount, reward.dtype) * (1 - terminated.astype(reward.dtype))
    ended = terminated | jnp.asarray(experience["truncated"], bool)
    place = jnp.arange(length)
    total, product, last, running = reward, factor, place, ~ended
    for k in range(1, min(n, length)):
        later = jnp.minimum(place + k, length - 1)
        further = running & (place + k < length)
        total = total + jnp.where(further, product * reward[later], 0)
        product = jnp.where(further, product * factor[later], product)
        last = jnp.where(further, later, last)
        running = further & ~ended[later]
    return {
        "observation": experience["observation"],
        "action": experience["action"],
        "reward": total,
        "discount": product,
        "next_observation": tree.take(experience["next_observation"], last),
    }


class EmptyBatches:
    """The loader of a step that collects its own experience: ``train.fit`` runs it in compiled chunks.

    Every batch is empty; an epoch is a number of steps between evaluations and checkpoints.

    Args:
        steps_per_epoch: None for one epoch, the whole run.
        batch_size: what a step counts as in the progress bar, its frames for instance.

    Raises:
        ValueError: a number is below 1.

    >>> loader = EmptyBatches(steps_per_epoch=10)
    >>> loader.batch(3), loader.indices(3, 2).shape
    ({}, (2, 1))
    """

    drop_remainder = True

    def __init__(self, steps_per_epoch: int | None = None, batch_size: int = 1):
        if steps_per_epoch is not None:
            check_positive_integer("steps_per_epoch", steps_per_epoch)
        check_positive_integer("batch_size", batch_size)
        self.steps_per_epoch, self.batch_size = steps_per_epoch, batch_size
        self.arrays: dict[str, np.ndarray] = {}

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Return the batch of a step, which is empty."""
        return {}

    def indices(self, first_step: int, count: int) -> np.ndarray:
        """Return an index for each of ``count`` steps, ``[count, 1]``, which nothing reads."""
        return np.zeros((count, 1), np.int32)

    def state(self) -> dict[str, Any]:
        """Return the position for checkpoints: the state of the run has all of it."""
        return {"step": 0}

    def restore(self, state: dict[str, Any]) -> None:
        """Move to a position; there is nothing to move."""
