"""The perceptron, three learning rules, and the bound on its mistakes.

The rules replace a labelled point by a signed one, ``p = +(1, x)`` for label 1 and ``p = -(1, x)`` for label 0, and
correct a mistake by ``w <- w + rate p``, with the bias as first weight:

- ``"add"``: add a positive point, subtract a negative one; ``rate = 1``;
- ``"negated"``: the same on normalised points, ``p / |p|``; the form of the proof;
- ``"scaled"``: a learning rate, ``w_i <- w_i + alpha x_i`` and ``b <- b + alpha`` with the sign of the label.

Convergence (Novikoff, 1962). Let ``|w*| = 1`` separate the unit points with the margin ``delta = min_i w*.p_i > 0``,
and let ``w = 0`` initially. Each of ``k`` corrections adds at least ``delta`` to ``w*.w``, and at most 1 to ``|w|^2``,
because ``w.p <= 0`` at a mistake. So ``cos(beta) = w*.w / |w| >= k delta / sqrt(k)``, and ``cos(beta) <= 1`` gives
``k <= 1 / delta^2``.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import to_floating, widen_floating
from jaxdl.checks import check_one_of
from jaxdl.nn.activations import step
from jaxdl.typing import Array, ArrayLike, Key

RULES = ("add", "negated", "scaled")


class Learned(NamedTuple):
    """A perceptron, the number of mistakes made, and the number of points still wrong."""

    weights: Array
    bias: Array
    mistakes: Array
    wrong: Array

    @property
    def converged(self) -> Array:
        """Whether every point is classified correctly."""
        return self.wrong == 0

    def status(self) -> str:
        """Describe the result for one data set."""
        if self.converged:
            return f"converged: all points are correct after {int(self.mistakes)} corrections"
        return (
            f"not converged: {int(self.wrong)} points are still wrong after {int(self.mistakes)} corrections; "
            "the classes are not separable, a point is not finite, or max_mistakes is too small"
        )


def perceptron(weights: ArrayLike, bias: ArrayLike, x: ArrayLike) -> Array:
    """Return ``y = 1`` iff ``w.x + b >= 0`` (Rosenblatt, 1958).

    Args:
        weights: ``w``, ``[n]``.
        bias: ``b``, a number: minus the threshold.
        x: ``[..., n]``.

    >>> perceptron(jnp.array([1.0, 1.0]), -1.5, jnp.array([[1.0, 0.0], [1.0, 1.0]])).tolist()
    [0.0, 1.0]
    """
    return step(to_floating(x) @ to_floating(weights) + bias)


def signed_points(x: ArrayLike, labels: ArrayLike, *, normalize: bool = False) -> Array:
    """Return ``p = +(1, x)`` for label 1 and ``-(1, x)`` for label 0, so that ``w`` is correct where ``w.p > 0``.

    Args:
        x: points ``[N, n]``.
        labels: 0 or 1, ``[N]``.
        normalize: divide every point by its norm.

    Returns:
        ``[N, n + 1]``, the constant of the bias first.

    Raises:
        ValueError: the numbers of points and labels differ.

    >>> signed_points(jnp.array([[2.0], [3.0]]), jnp.array([1, 0])).tolist()
    [[1.0, 2.0], [-1.0, -3.0]]
    """
    x, labels = jnp.asarray(x), jnp.asarray(labels)
    if x.ndim != 2 or labels.shape != x.shape[:1]:
        raise ValueError(f"expected points [N, n] and labels [N], got {x.shape} and {labels.shape}")
    x = widen_floating(x)
    p = jnp.concatenate([jnp.ones_like(x[:, :1]), x], axis=1)
    if normalize:
        p = p / jnp.linalg.norm(p, axis=1, keepdims=True)
    return jnp.where(labels[:, None] > 0, p, -p)


def learn_perceptron(
    x: ArrayLike,
    labels: ArrayLike,
    *,
    rule: str = "add",
    alpha: ArrayLike = 1.0,
    initial: ArrayLike | None = None,
    key: Key | None = None,
    mask: ArrayLike | None = None,
    max_mistakes: int = 1000,
) -> Learned:
    """Correct the weights at one misclassified point at a time, until there is none or after ``max_mistakes``.

    Correct points change nothing, so only misclassified ones are visited: the next in cyclic order, or with a ``key`` a
    random one. A point or label that is NaN or infinite counts as wrong and is never visited, so the result has not
    converged. The loop is a ``lax.while_loop``; use ``jax.vmap`` for many data sets, initial weights and keys.

    Args:
        x: points ``[N, n]``.
        labels: 0 or 1, ``[N]``.
        rule: ``"add"``, ``"negated"`` or ``"scaled"``, see the docstring of this module.
        alpha: the learning rate of ``"scaled"``.
        initial: initial weights ``[n + 1]``, the bias first; None for 0.
        key: a random key for the order of visits.
        mask: ``[N]``, False for points to ignore.
        max_mistakes: limit of the corrections.

    Raises:
        ValueError: the rule is unknown, or the shapes disagree.

    >>> x = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> learned = learn_perceptron(x, jnp.array([0, 1, 1, 1]))
    >>> learned.status()
    'converged: all points are correct after ... corrections'
    >>> learn_perceptron(x, jnp.array([0, 1, 1, 0])).status()
    'not converged: ...
    """
    correct, is_wrong, unusable, w = _prepare(x, labels, rule, alpha, initial, mask)

    def body(state: tuple) -> tuple:
        w, place, mistakes, key, wrong = state
        w, place, key = correct(w, place, key, wrong)
        return w, place, mistakes + 1, key, is_wrong(w)

    start = (w, jnp.array(-1), jnp.array(0), key, is_wrong(w))
    w, _, mistakes, _, wrong = jax.lax.while_loop(
        lambda state: jnp.any(state[4]) & (state[2] < max_mistakes), body, start
    )
    return Learned(w[1:], w[0], mistakes, jnp.sum(wrong | unusable))


def trace_perceptron(
    x: ArrayLike,
    labels: ArrayLike,
    length: int,
    *,
    rule: str = "add",
    alpha: ArrayLike = 1.0,
    initial: ArrayLike | None = None,
    key: Key | None = None,
    mask: ArrayLike | None = None,
) -> Array:
    """Return the weights after 0 to ``length`` corrections, ``[length + 1, n + 1]``.

    Once every point is correct the weights stay constant. Arguments and errors as in ``learn_perceptron``.
    """
    correct, is_wrong, _, w = _prepare(x, labels, rule, alpha, initial, mask)

    def body(state: tuple, _: None) -> tuple[tuple, Array]:
        w, place, key = state
        w, place, key = correct(w, place, key, is_wrong(w))
        return (w, place, key), w

    _, later = jax.lax.scan(body, (w, jnp.array(-1), key), length=length)
    return jnp.concatenate([w[None], later])


def mistake_bound(points: ArrayLike, w_star: ArrayLike) -> Array:
    """Compute the bound ``1 / delta^2`` on mistakes, from ``w = 0`` on unit points; infinite without separation.

    Args:
        points: signed unit points ``[N, d]``, from ``signed_points(..., normalize=True)``.
        w_star: any vector that separates them, ``[d]``, of any norm.

    >>> float(mistake_bound(jnp.array([[0.6, 0.8], [0.8, 0.6]]), jnp.array([2.0, 0.0])))
    2.77...
    """
    delta = _margin(points, w_star)
    bound = jnp.where(delta > 0, 1 / jnp.square(jnp.where(delta > 0, delta, 1)), jnp.inf)
    return jnp.where(jnp.isnan(delta), jnp.nan, bound)


class Convergence(NamedTuple):
    """Terms of the proof for ``k = 1 .. length`` corrections: ``cosine >= lower_bound`` up to the last one."""

    cosine: Array
    lower_bound: Array
    weights: Array


def convergence(x: ArrayLike, labels: ArrayLike, w_star: ArrayLike, length: int) -> Convergence:
    """Compute ``cos(beta)`` between ``w`` and ``w*``, and its lower bound ``k delta / sqrt(k)``.

    The weights start at 0 and follow the ``"negated"`` rule. After the last correction both stay constant.

    Args:
        x: points ``[N, n]``.
        labels: 0 or 1, ``[N]``.
        w_star: a separating vector ``[n + 1]``, the bias first.
        length: number of corrections.

    Returns:
        ``cosine`` and ``lower_bound``, ``[length]``; ``weights``, ``[length, n + 1]``.
    """
    weights = trace_perceptron(x, labels, length, rule="negated")
    w_star = jnp.asarray(w_star, weights.dtype)
    moved = jnp.any(weights[1:] != weights[:-1], axis=1)
    k = jnp.cumsum(moved)
    norms = jnp.linalg.norm(weights[1:], axis=1) * jnp.linalg.norm(w_star)
    cosine = weights[1:] @ w_star / jnp.where(norms == 0, 1, norms)
    delta = _margin(signed_points(x, labels, normalize=True), w_star)
    return Convergence(cosine, jnp.sqrt(k) * delta, weights[1:])


def _margin(points: ArrayLike, w_star: ArrayLike) -> Array:
    """Return ``delta = min_i w*.p_i`` for the unit vector along ``w*``."""
    w_star = jnp.asarray(w_star)
    return jnp.min(jnp.asarray(points) @ w_star) / jnp.linalg.norm(w_star)


def _prepare(
    x: ArrayLike,
    labels: ArrayLike,
    rule: str,
    alpha: ArrayLike,
    initial: ArrayLike | None,
    mask: ArrayLike | None,
) -> tuple[Callable, Callable, Array, Array]:
    """Return the correction, the test for misclassified points, the points that are not finite, and the weights."""
    check_one_of("rule", rule, RULES)
    points = signed_points(x, labels, normalize=rule == "negated")
    # At w.p = 0 the output is 1, correct for a positive point; the proof counts it as a mistake for both.
    zero_is_wrong = jnp.ones(len(points), bool) if rule == "negated" else jnp.asarray(labels) <= 0
    counts = jnp.ones(len(points), bool) if mask is None else jnp.asarray(mask) != 0
    finite = jnp.all(jnp.isfinite(points), axis=1) & jnp.isfinite(jnp.asarray(labels))
    points = jnp.where(finite[:, None], points, 0)
    rate = alpha if rule == "scaled" else 1
    w = jnp.zeros(points.shape[1:]) if initial is None else jnp.asarray(initial)
    if w.shape != points.shape[1:]:
        raise ValueError(f"expected initial of shape {points.shape[1:]}, the bias and the weights, got {w.shape}")
    places = jnp.arange(len(points))

    def is_wrong(w: Array) -> Array:
        products = points @ w
        return counts & finite & ~((products > 0) | (~zero_is_wrong & (products == 0)))

    def correct(w: Array, place: Array, key: Key | None, wrong: Array) -> tuple[Array, Array, Key | None]:
        if key is not None:
            key, now = jax.random.split(key)
            place = jnp.argmax(jnp.where(wrong, jax.random.uniform(now, wrong.shape), -1))
        else:
            place = jnp.argmin(jnp.where(wrong, (places - place - 1) % len(points), len(points)))
        return jnp.where(jnp.any(wrong), w + rate * points[place], w), place, key

    return correct, is_wrong, counts & ~finite, w.astype(points.dtype)
