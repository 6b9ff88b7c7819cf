"""Random search over several settings at once, and random restarts: all runs are one `jax.vmap`.

Choose by the loss on a validation set, and report that on a test set: the loss of the best of many is too low, because
it was chosen for being low.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.optim.numerics import nan_to_infinity
from jaxdl.typing import Array, Key, PyTree


@dataclass(frozen=True)
class Uniform:
    """The uniform distribution from ``low`` to ``high``.

    Raises:
        ValueError: not ``low < high``.
    """

    low: float
    high: float

    def __post_init__(self):
        check_in_range("high", self.high, self.low, includes_low=False)

    def draw(self, key: Key, shape: tuple[int, ...] = ()) -> Array:
        """Draw numbers of a shape."""
        return jax.random.uniform(key, shape, minval=self.low, maxval=self.high)


@dataclass(frozen=True)
class LogUniform:
    """The distribution from ``low`` to ``high`` whose logarithm is uniform, for rates and penalties.

    Raises:
        ValueError: not ``0 < low < high``.
    """

    low: float
    high: float

    def __post_init__(self):
        check_in_range("low", self.low, includes_low=False)
        check_in_range("high", self.high, self.low, includes_low=False)

    def draw(self, key: Key, shape: tuple[int, ...] = ()) -> Array:
        """Draw numbers of a shape."""
        low, high = jnp.log(jnp.asarray([self.low, self.high], float))
        return jnp.exp(jax.random.uniform(key, shape, minval=low, maxval=high))


Distribution = Uniform | LogUniform


class RandomSearch(NamedTuple):
    """Result of a search: the settings of all trials, each ``[N]``, their losses ``[N]``, and the best of both."""

    settings: dict[str, Array]
    losses: Array
    best: dict[str, Array]
    best_loss: Array


class Restarts(NamedTuple):
    """Result of restarts: the result of the best run, its loss, and the losses of all, ``[N]``."""

    best: PyTree
    best_loss: Array
    losses: Array


def random_search(
    key: Key, run: Callable[[dict[str, Array]], Array], space: Mapping[str, Distribution], trials: int
) -> RandomSearch:
    """Search settings at random (Bergstra and Bengio, 2012).

    Where few of the settings matter, each of these has as many different values as there are trials; a grid of as many
    points has few. A loss of nan counts as infinity.

    Args:
        key: for the draws.
        run: ``run(settings) -> loss``, a pure function that trains with the settings and returns the validation loss.
        space: the distribution of every setting.
        trials: the budget, ``N`` runs.

    Raises:
        ValueError: there is no setting or no trial.

    >>> space = {"rate": LogUniform(1e-4, 1.0), "decay": Uniform(0.0, 1.0)}
    >>> run = lambda settings: (jnp.log10(settings["rate"]) + 2) ** 2 + settings["decay"]
    >>> found = random_search(jax.random.key(0), run, space, trials=100)
    >>> bool(found.best_loss == found.losses.min()), sorted(found.best)
    (True, ['decay', 'rate'])
    """
    check_positive_integer("trials", trials)
    if not space:
        raise ValueError("expected a space of one or more settings, got none")
    keys = jax.random.split(key, len(space))
    settings = {name: space[name].draw(key, (trials,)) for name, key in zip(sorted(space), keys, strict=True)}
    losses = jax.vmap(run)(settings)
    best = jnp.argmin(nan_to_infinity(losses))
    return RandomSearch(settings, losses, {name: values[best] for name, values in settings.items()}, losses[best])


def restart(key: Key, run: Callable[[Key], tuple[Array, Any]], count: int) -> Restarts:
    """Run from several random starts, and take the best.

    If one run finds a good minimum with probability ``p``, the best of ``k`` does with ``1 - (1 - p)^k``. A loss of nan
    counts as infinity.

    Args:
        key: for the starts.
        run: ``run(key) -> (loss, result)``, a pure function; the result may be any tree of arrays.
        count: the number of runs.

    Raises:
        ValueError: ``count`` is not positive.

    >>> def run(key):
    ...     w = jax.random.normal(key)
    ...     return w**2, w
    >>> found = restart(jax.random.key(0), run, count=10)
    >>> bool(found.best**2 == found.losses.min())
    True
    """
    check_positive_integer("count", count)
    losses, results = jax.vmap(run)(jax.random.split(key, count))
    best = jnp.argmin(nan_to_infinity(losses))
    return Restarts(jax.tree.map(lambda leaf: leaf[best], results), losses[best], losses)
