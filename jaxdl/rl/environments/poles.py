"""The cart and the pole (Barto, Sutton and Anderson, 1983), as in gymnasium's CartPole-v1."""

import math

import jax
import jax.numpy as jnp

from jaxdl.checks import check_indices
from jaxdl.rl.environments.environment import Environment, TimeStep, limit_time
from jaxdl.typing import Array, ArrayLike, Key

GRAVITY, CART_MASS, POLE_MASS, HALF_LENGTH, FORCE, SECONDS = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
"""In m/s^2, kg, kg, m, N and s."""
LARGEST_POSITION, LARGEST_ANGLE = 2.4, 12 * 2 * math.pi / 360
"""In metres and radians: beyond them the episode ends."""


def cart_pole(max_steps: int = 500) -> Environment:
    """Make the environment CartPole-v1: keep a pole upright by pushing its cart to the left (0) or right (1).

    The state is ``[x, x', angle, angle']`` in m, m/s, rad and rad/s, at first uniform in [-0.05, 0.05]. With the masses
    ``m`` of the pole and ``M`` of both, the half length ``l`` and the force ``F``, a step of 0.02 s by Euler's method::

        u       = (F + m l angle'^2 sin(angle)) / M
        angle'' = (g sin(angle) - u cos(angle)) / (l (4 / 3 - m cos(angle)^2 / M))
        x''     = u - m l angle'' cos(angle) / M

    Every step has the reward 1, that which ends the episode too: the cart beyond 2.4 m, or the pole beyond 12 degrees.
    The observation is the state, float32; the state is in JAX's default floating-point type.

    Args:
        max_steps: steps after which an episode is truncated.

    Raises:
        ValueError: ``max_steps`` is below 1; in a step, the action is known to be neither 0 nor 1.

    >>> environment = cart_pole()
    >>> state, observation = environment.reset(jax.random.key(0))
    >>> state, time_step = jax.jit(environment.step)(state, 1)
    >>> time_step.observation.shape, float(time_step.reward), bool(time_step.ended)
    ((4,), 1.0, False)
    """
    return limit_time(Environment(_reset, _step, 2), max_steps)


def _reset(key: Key) -> tuple[Array, Array]:
    state = jax.random.uniform(key, (4,), jnp.result_type(float), -0.05, 0.05)
    return state, state.astype(jnp.float32)


def _step(state: Array, action: ArrayLike) -> tuple[Array, TimeStep]:
    check_indices("action", action, 2)
    _, velocity, angle, rotation = state
    force = jnp.where(jnp.asarray(action) == 1, FORCE, -FORCE).astype(state.dtype)
    mass, moment = CART_MASS + POLE_MASS, POLE_MASS * HALF_LENGTH
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    u = (force + moment * jnp.square(rotation) * sin) / mass
    rotation_rate = (GRAVITY * sin - cos * u) / (HALF_LENGTH * (4 / 3 - POLE_MASS * jnp.square(cos) / mass))
    acceleration = u - moment * rotation_rate * cos / mass
    changes = jnp.stack([velocity, acceleration, rotation, rotation_rate])
    state = state + SECONDS * changes
    terminated = (jnp.abs(state[0]) > LARGEST_POSITION) | (jnp.abs(state[2]) > LARGEST_ANGLE)
    one, never = jnp.ones((), jnp.float32), jnp.zeros((), bool)
    return state, TimeStep(state.astype(jnp.float32), one, terminated, never)
