"""Adversarial examples: small changes of an image that change the decision of a network.

The attacks raise a loss, a function of examples ``[B, ...]`` that returns one number for each, ``[B]``, or of a single
example. ``untargeted_loss`` and ``targeted_loss`` make it from a classifier:

    untargeted    cross-entropy of the true label: away from it
    targeted      minus the cross-entropy of a chosen label: towards it
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxdl import losses, metrics
from jaxdl.arrays import widen
from jaxdl.checks import check_in_range, check_one_of, check_positive_integer
from jaxdl.interpret.scores import Bounds, check_images, check_scores
from jaxdl.typing import Array, ArrayLike, Key

Function = Callable[[Array], Array]


def fgsm(loss: Function, x: ArrayLike, epsilon: ArrayLike, *, bounds: Bounds = (0.0, 1.0)) -> Array:
    """Compute ``x' = clip(x + epsilon sign(d loss / d x))``, the fast gradient sign method (Goodfellow et al., 2015).

    Args:
        loss: to raise, ``[B, ...] -> [B]``, or for a single example ``[...] -> []``.
        x: ``[B, ...]`` or ``[...]``, within the bounds; integers become floating-point numbers.
        epsilon: the largest change of a pixel.
        bounds: of the pixels, ``(low, high)``; None for no limits.

    Raises:
        ValueError: ``epsilon`` is negative, ``x`` lies outside of the bounds, or the loss has another shape.

    >>> fgsm(lambda x: jnp.sum(x**2, axis=-1), jnp.array([[0.5, 1.0]]), 0.25).tolist()
    [[0.75, 1.0]]
    """
    return pgd(loss, x, epsilon, epsilon, 1, bounds=bounds)


def pgd(
    loss: Function,
    x: ArrayLike,
    epsilon: ArrayLike,
    step_size: ArrayLike,
    steps: int,
    norm: str = "linf",
    *,
    bounds: Bounds = (0.0, 1.0),
    key: Key | None = None,
) -> Array:
    """Raise the loss by projected gradient steps within a ball around ``x`` (Madry et al., 2018).

    ``x_(t+1) = P(x_t + step_size d_t)``, where ``P`` projects onto the ball of the radius ``epsilon``, then onto the
    bounds. For ``g = d loss / d x_t``, with 0 for elements that are not finite, and each example by itself:

        "linf"    ``d = sign(g)``        ``|x_t - x| <= epsilon`` for every pixel
        "l2"      ``d = g / ||g||``      ``||x_t - x|| <= epsilon``

    Args:
        loss: to raise, ``[B, ...] -> [B]``, or for a single example ``[...] -> []``.
        x: ``[B, ...]`` or ``[...]``, within the bounds; integers become floating-point numbers.
        epsilon: the radius of the ball.
        step_size: the length of a step in the same norm.
        steps: number of steps.
        norm: "linf" or "l2".
        bounds: of the pixels, ``(low, high)``; None for no limits.
        key: for a start drawn uniformly from the ball; None starts at ``x``.

    Raises:
        ValueError: an argument is outside of its range, ``x`` lies outside of the bounds, or the loss has another
            shape.

    >>> pgd(lambda x: -jnp.sum(x, axis=-1), jnp.array([[0.5, 0.1]]), 0.25, 0.1, steps=5).tolist()
    [[0.25, 0.0]]
    >>> pgd(lambda x: x @ jnp.array([3.0, 4.0]), jnp.zeros((1, 2)), 1.0, 0.5, steps=5, norm="l2").round(3)
    Array([[0.6, 0.8]], dtype=float32)
    """
    check_one_of("norm", norm, ("linf", "l2"))
    check_in_range("epsilon", epsilon, 0.0, includes_high=False)
    check_in_range("step_size", step_size, 0.0, includes_high=False)
    check_positive_integer("steps", steps)
    x = check_images(x, bounds)
    loss, x, restore = check_scores(loss, x)
    direction, project, draw = (jnp.sign, _to_cube, _in_cube) if norm == "linf" else (_unit, _to_sphere, _in_sphere)
    epsilon, step_size = jnp.asarray(epsilon, x.dtype), jnp.asarray(step_size, x.dtype)
    start = x if key is None else _clip(x + epsilon * draw(key, x), bounds)

    def move(at: Array, g: Array) -> Array:
        return _clip(project(at + step_size * direction(g), x, epsilon), bounds)

    return restore(_ascend(loss, start, steps, move))


def fooling_images(
    logits: Function,
    targets: ArrayLike,
    shape: tuple[int, ...],
    key: Key,
    *,
    step_size: ArrayLike,
    steps: int,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Array:
    """Turn noise into images that a classifier takes for the targets (Nguyen et al., 2015).

    Starts from pixels that are uniform within the bounds, and raises the log-probability of the target by steps
    along ``g / ||g||``, clipped to the bounds.

    Args:
        logits: ``[B, ...] -> [B, K]``.
        targets: classes ``[B]``.
        shape: of one image.
        key: for the noise.
        step_size: the Euclidean length of a step.
        steps: number of steps.
        bounds: of the pixels, ``(low, high)``.

    Raises:
        ValueError: an argument is outside of its range, or a target is not a class.
    """
    check_in_range("step_size", step_size, 0.0, includes_high=False)
    check_positive_integer("steps", steps)
    low, high = bounds
    start = check_images(jax.random.uniform(key, (len(jnp.asarray(targets)), *shape), minval=low, maxval=high), bounds)
    loss = targeted_loss(logits, targets)
    check_scores(loss, start)
    step_size = jnp.asarray(step_size, start.dtype)
    return _ascend(loss, start, steps, lambda at, g: _clip(at + step_size * _unit(g), bounds))


def untargeted_loss(logits: Function, labels: ArrayLike) -> Function:
    """Make the loss that an untargeted attack raises: the cross-entropy ``[B]`` of the true labels.

    Args:
        logits: ``[B, ...] -> [B, K]``.
        labels: classes ``[B]``.

    Raises:
        ValueError: when the loss is called: a label is not in ``0 .. K - 1``.

    >>> loss = untargeted_loss(lambda x: x, jnp.array([0]))
    >>> pgd(loss, jnp.array([[0.75, 0.5]]), 0.25, 0.125, steps=2).tolist()
    [[0.5, 0.75]]
    """
    return lambda x: _cross_entropy(logits(x), labels)


def targeted_loss(logits: Function, targets: ArrayLike) -> Function:
    """Make the loss that a targeted attack raises: minus the cross-entropy ``[B]`` of the targets.

    Args:
        logits: ``[B, ...] -> [B, K]``.
        targets: classes ``[B]``.

    Raises:
        ValueError: when the loss is called: a target is not in ``0 .. K - 1``.
    """
    return lambda x: -_cross_entropy(logits(x), targets)


def success_rate(logits: ArrayLike, adversarial_logits: ArrayLike, labels: ArrayLike) -> Array:
    """Return the share of the correctly classified examples that an untargeted attack makes wrong; nan without any.

    Args:
        logits: of the examples, ``[B, K]``.
        adversarial_logits: of the adversarial examples, ``[B, K]``.
        labels: classes ``[B]``.

    >>> success_rate(jnp.eye(3), jnp.eye(3)[::-1], jnp.array([0, 1, 0])).item()
    0.5
    """
    after = metrics.correct(adversarial_logits, labels)
    return metrics.mean(1 - after, metrics.correct(logits, labels)).value


def targeted_success_rate(adversarial_logits: ArrayLike, targets: ArrayLike, *, mask: ArrayLike | None = None) -> Array:
    """Return the share of adversarial examples that are classified as their targets.

    Args:
        adversarial_logits: ``[B, K]``.
        targets: classes ``[B]``.
        mask: weights ``[B]``, 0 to ignore an example, such as one whose target is its true class.
    """
    return metrics.accuracy(adversarial_logits, targets, mask=mask)


def confidence(logits: ArrayLike) -> Array:
    """Return the largest probability ``max_k softmax(logits)_k`` of every example, ``[..., K] -> [...]``.

    >>> confidence(jnp.log(jnp.array([[0.25, 0.75]]))).round(4)
    Array([0.75], dtype=float32)
    """
    return jnp.max(jax.nn.softmax(widen(logits)), axis=-1)


def _cross_entropy(scores: Array, labels: ArrayLike) -> Array:
    if scores.ndim != 2 or jnp.shape(labels) != scores.shape[:1]:
        raise ValueError(
            f"expected logits [B, K] and one class for each example, got the shapes {list(scores.shape)} and "
            f"{list(jnp.shape(labels))}"
        )
    if not isinstance(labels, Tracer):
        wrong = [int(label) for label in np.asarray(labels) if not 0 <= label < scores.shape[1]]
        if wrong:
            raise ValueError(f"expected classes in 0 .. {scores.shape[1] - 1}, got {wrong[0]}")
    return losses.cross_entropy(scores, jnp.asarray(labels), reduction="none")


def _ascend(loss: Function, start: Array, steps: int, move: Callable[[Array, Array], Array]) -> Array:
    """Apply ``move(x_t, g_t)``, a step along the gradient of the loss and a projection, ``steps`` times."""
    gradient = jax.grad(lambda x: jnp.sum(loss(x)))

    def step(x: Array, _: None) -> tuple[Array, None]:
        g = gradient(x)
        return move(x, jnp.where(jnp.isfinite(g), g, 0)), None

    return jax.lax.scan(step, start, length=steps)[0]


def _clip(x: Array, bounds: Bounds) -> Array:
    return x if bounds is None else jnp.clip(x, *bounds)


def _to_cube(x: Array, centre: Array, radius: Array) -> Array:
    return jnp.clip(x, centre - radius, centre + radius)


def _to_sphere(x: Array, centre: Array, radius: Array) -> Array:
    moved = x - centre
    size = _norm(moved)
    return centre + moved * jnp.minimum(1, radius / jnp.where(size == 0, 1, size))


def _in_cube(key: Key, x: Array) -> Array:
    return jax.random.uniform(key, x.shape, x.dtype, -1, 1)


def _in_sphere(key: Key, x: Array) -> Array:
    """Draw uniformly from the unit ball: a uniform direction, and ``u^(1/n)`` as its length."""
    directions, lengths = jax.random.split(key)
    elements = x[0].size if len(x) else 1
    length = jax.random.uniform(lengths, (len(x), *[1] * (x.ndim - 1)), x.dtype) ** (1 / max(elements, 1))
    return length * _unit(jax.random.normal(directions, x.shape, x.dtype))


def _unit(g: Array) -> Array:
    """Normalize each example, and leave 0 as it is; the largest element first, against overflow of the squares."""
    largest = jnp.max(jnp.abs(g), axis=tuple(range(1, g.ndim)), keepdims=True, initial=0)
    g = g / jnp.where(largest == 0, 1, largest)
    size = _norm(g)
    return g / jnp.where(size == 0, 1, size)


def _norm(x: Array) -> Array:
    return jnp.sqrt(jnp.sum(x**2, axis=tuple(range(1, x.ndim)), keepdims=True))
