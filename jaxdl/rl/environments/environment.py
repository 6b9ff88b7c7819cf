"""Environments as pure functions, limits of their time, and their automatic restart."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.checks import check_positive_integer
from jaxdl.typing import Array, ArrayLike, Key, PyTree


class TimeStep(NamedTuple):
    """What an action has led to.

    Attributes:
        observation: of the state after the action, also where it ends the episode.
        reward: of the action.
        terminated: whether the state is terminal: its value is 0.
        truncated: whether the episode is cut off, by a limit of time for instance: the state has a value all the same.
    """

    observation: Array
    reward: Array
    terminated: Array
    truncated: Array

    @property
    def ended(self) -> Array:
        """Whether the episode has ended, for either reason."""
        return self.terminated | self.truncated

    def as_arrays(self) -> "TimeStep":
        """Convert the reward and the ends, which may be numbers of Python, to arrays."""
        terminated, truncated = jnp.asarray(self.terminated, bool), jnp.asarray(self.truncated, bool)
        return self._replace(reward=jnp.asarray(self.reward), terminated=terminated, truncated=truncated)


class Environment(NamedTuple):
    """A Markov decision process with discrete actions, as two pure functions of one state.

    `jax.vmap` maps them over many states, `jax.lax.scan` over time. A random environment keeps a key in its state.

    Attributes:
        reset: ``reset(key) -> (state, observation)`` starts an episode.
        step: ``step(state, action) -> (state, TimeStep)``.
        num_actions: actions are ``0 .. num_actions - 1``.
    """

    reset: Callable[[Key], tuple[Any, Array]]
    step: Callable[[Any, ArrayLike], tuple[Any, TimeStep]]
    num_actions: int


class Limited(NamedTuple):
    """The state of an environment with `limit_time`.

    Attributes:
        state: that of the environment.
        steps: made in this episode.
    """

    state: PyTree
    steps: Array


def limit_time(environment: Environment, max_steps: int) -> Environment:
    """Truncate every episode after ``max_steps`` steps, as gymnasium's ``TimeLimit`` does.

    Raises:
        ValueError: the limit is below 1.
    """
    check_positive_integer("max_steps", max_steps)

    def reset(key: Key) -> tuple[Limited, Array]:
        state, observation = environment.reset(key)
        return Limited(state, jnp.zeros((), jnp.int32)), observation

    def step(limited: Limited, action: ArrayLike) -> tuple[Limited, TimeStep]:
        state, time_step = environment.step(limited.state, action)
        steps = limited.steps + 1
        return Limited(state, steps), time_step._replace(truncated=time_step.truncated | (steps >= max_steps))

    return Environment(reset, step, environment.num_actions)


class Episode(NamedTuple):
    """The state of an environment with `auto_reset`.

    Attributes:
        state: that of the environment.
        observation: the present one, of a new episode where the one before has ended.
        key: of the coming episodes.
        total: sum of the rewards of this episode so far.
        last_return: sum of the rewards of the last episode that has ended, 0 before there is one.
        finished: number of episodes that have ended.
    """

    state: PyTree
    observation: Array
    key: Key
    total: Array
    last_return: Array
    finished: Array


def auto_reset(environment: Environment) -> Environment:
    """Start a new episode in the step that ends one.

    The time step has the observation at the end of the episode, from which a truncated one is valued; the one to act on
    next is ``state.observation``.

    >>> from jaxdl.rl.environments import catch
    >>> environment = auto_reset(catch(rows=2, columns=3))
    >>> episode, observation = environment.reset(jax.random.key(0))
    >>> episode, time_step = environment.step(episode, 1)
    >>> bool(time_step.terminated), int(episode.finished), int(episode.state.row)
    (True, 1, 0)
    """

    def reset(key: Key) -> tuple[Episode, Array]:
        reset_key, key = jax.random.split(key)
        state, observation = environment.reset(reset_key)
        nothing = jnp.zeros((), jnp.float32)
        return Episode(state, observation, key, nothing, nothing, jnp.zeros((), jnp.int32)), observation

    def step(episode: Episode, action: ArrayLike) -> tuple[Episode, TimeStep]:
        state, time_step = environment.step(episode.state, action)
        time_step = time_step.as_arrays()
        reset_key, key = jax.random.split(episode.key)
        begun = environment.reset(reset_key)
        ended = time_step.ended
        state, observation = jax.tree.map(
            lambda new, old: jnp.where(ended, new, old), begun, (state, time_step.observation)
        )
        total = episode.total + time_step.reward.astype(jnp.float32)
        episode = Episode(
            state,
            observation,
            key,
            jnp.where(ended, 0, total),
            jnp.where(ended, total, episode.last_return),
            episode.finished + ended,
        )
        return episode, time_step

    return Environment(reset, step, environment.num_actions)
