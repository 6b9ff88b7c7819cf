"""Environments of gymnasium, which run on the host and keep their state themselves."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from jaxdl.checks import check_positive_integer
from jaxdl.rl.environments.environment import Environment, TimeStep
from jaxdl.typing import ArrayLike, Key


def from_gymnasium(environment: Any) -> Environment:
    """Adapt an environment of gymnasium to `Environment`; its functions run on the host and cannot be compiled.

    The state is the number of calls so far, since gymnasium keeps the true one: only the latest state can be continued.
    Actions of a ``Discrete`` space are ``0 .. num_actions - 1``; those of another space are passed as arrays, and
    ``num_actions`` is 0.

    Args:
        environment: the result of ``gymnasium.make``, for instance.

    Raises:
        TypeError: it has no ``reset``, ``step`` and ``action_space``; in a step, it is called inside of a compiled
            function.
        ValueError: in a step, the state is not the latest one.

    >>> import gymnasium
    >>> environment = from_gymnasium(gymnasium.make("CartPole-v1"))
    >>> state, observation = environment.reset(jax.random.key(0))
    >>> state, time_step = environment.step(state, 1)
    >>> time_step.observation.shape, float(time_step.reward), bool(time_step.ended)
    ((4,), 1.0, False)
    """
    missing = [name for name in ("reset", "step", "action_space") if not hasattr(environment, name)]
    if missing:
        raise TypeError(
            f"expected an environment of gymnasium, got {type(environment).__name__} without {', '.join(missing)}; "
            "pass the result of gymnasium.make"
        )
    num_actions = int(getattr(environment.action_space, "n", 0))
    first = int(getattr(environment.action_space, "start", 0))
    calls = itertools.count(1)
    latest = [0]

    def advance() -> int:
        latest[0] = next(calls)
        return latest[0]

    def reset(key: Key) -> tuple[int, np.ndarray]:
        observation, _ = environment.reset(seed=seed_of(key))
        return advance(), np.asarray(observation)

    def step(state: int, action: ArrayLike) -> tuple[int, TimeStep]:
        if isinstance(action, Tracer):
            raise TypeError("expected an action on the host, got a traced one; call the step outside of jax.jit")
        if state != latest[0]:
            raise ValueError(f"expected the latest state, {latest[0]}, got {state}; gymnasium cannot go back")
        given = int(action) + first if num_actions else np.asarray(action)
        observation, reward, terminated, truncated, _ = environment.step(given)
        outcome = (np.asarray(observation), np.float32(reward), np.bool_(terminated), np.bool_(truncated))
        return advance(), TimeStep(*outcome)  # pyright: ignore[reportArgumentType]  # arrays of the host

    return Environment(reset, step, num_actions)  # pyright: ignore[reportArgumentType]


def seed_of(key: Key) -> int:
    """Return a seed in ``0 .. 2^31 - 1`` for a random key, or an integer itself.

    >>> seed_of(3), 0 <= seed_of(jax.random.key(3)) < 2**31
    (3, True)
    """
    if isinstance(key, int | np.integer):
        return int(key)
    return int(np.asarray(jax.random.key_data(key)).ravel()[-1] >> 1)


def play_gymnasium(
    make: Callable[[], Any], policy: Callable[[np.ndarray], ArrayLike], episodes: int, *, seed: int = 0
) -> np.ndarray:
    """Play whole episodes in environments of gymnasium, side by side, and return the sums of their rewards.

    Args:
        make: makes an environment, ``lambda: gymnasium.make("CartPole-v1")`` for instance.
        policy: maps the observations ``[episodes, ...]`` of all episodes to their actions ``[episodes, ...]``; those of
            episodes that have ended are ignored.
        episodes: their number, each in an environment of its own.
        seed: that of the first episode; the following ones have the next integers.

    Returns:
        Undiscounted returns, float64 ``[episodes]``.

    Raises:
        ValueError: there are no episodes.

    >>> import gymnasium
    >>> bool((play_gymnasium(lambda: gymnasium.make("CartPole-v1"), lambda x: x[:, 2] > 0, episodes=2) > 20).all())
    True
    """
    check_positive_integer("episodes", episodes)
    environments = [from_gymnasium(make()) for _ in range(episodes)]
    begun = [environment.reset(seed + place) for place, environment in enumerate(environments)]  # pyright: ignore
    states, observations = [state for state, _ in begun], np.stack([observation for _, observation in begun])
    returns, running = np.zeros(episodes), set(range(episodes))
    while running:
        actions = np.asarray(policy(observations))
        for place in sorted(running):
            states[place], time_step = environments[place].step(states[place], actions[place])
            observations[place] = time_step.observation
            returns[place] += float(time_step.reward)
            if time_step.ended:
                running.remove(place)
    return returns
