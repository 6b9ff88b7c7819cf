"""Synthesis: images that minimize a loss of a network's outputs, by one optimization loop for all purposes.

    maximal images      a score, such as a logit or the mean of a channel (Simonyan et al., 2014; Olah et al., 2017)
    inversion           the distance of an embedding (Mahendran and Vedaldi, 2015)
    style               the losses of `jaxdl.interpret.style`

The variables are a tree of parameters, and ``decode`` converts them to images: the identity for pixels, `fourier_image`
for Fourier coefficients, `jax.nn.sigmoid` for pixels between 0 and 1.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxdl import tree
from jaxdl.arrays import to_floating, widen_floating
from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.optim import line_search
from jaxdl.typing import Array, ArrayLike, Key, PyTree


class Synthesis(NamedTuple):
    """Result of an optimization.

    Attributes:
        params: the last parameters.
        losses: the loss before every step, ``[steps]``.
        state: of the optimizer, to continue from.
    """

    params: PyTree
    losses: Array
    state: Any


def minimize(
    loss: Callable[..., Array],
    start: PyTree,
    optimizer: optax.GradientTransformation,
    steps: int,
    *,
    key: Key | None = None,
    project: Callable[[PyTree], PyTree] = lambda params: params,
    state: Any = None,
) -> Synthesis:
    """Minimize a loss by an optimizer, one `jax.lax.scan` over the steps.

    Optimizers with a line search work too, such as ``optax.lbfgs()``: they are given the loss and its value.

    Args:
        loss: ``loss(params)``, a number; with a key, ``loss(params, key)`` with a new key in every step.
        start: parameters, a tree of floating-point arrays.
        optimizer: of this library or of optax.
        steps: number of steps.
        key: for losses with random transformations of the image.
        project: applied after every step, such as ``lambda x: jnp.clip(x, 0, 1)``.
        state: of an earlier result, to continue it; None for a new one.

    Raises:
        ValueError: ``steps`` is not positive, or the loss is not a number.

    >>> found = minimize(lambda x: jnp.sum((x - 3.0) ** 2), jnp.zeros(2), optax.lbfgs(), steps=3)
    >>> found.params.round(4).tolist(), found.losses[0].item()
    ([3.0, 3.0], 18.0)
    """
    check_positive_integer("steps", steps)
    start = jax.tree.map(to_floating, start)
    optimizer = optax.with_extra_args_support(optimizer)
    keys = None if key is None else jax.random.split(key, steps)
    shape = jax.eval_shape(loss, start, *(() if keys is None else (keys[0],)))
    if getattr(shape, "shape", None) != ():
        got = getattr(shape, "shape", type(shape).__name__)
        raise ValueError(f"expected a loss that returns one number, got {got}; take the sum or the mean")

    def step(carry: tuple[PyTree, Any], key: Key | None) -> tuple[tuple[PyTree, Any], Array]:
        params, state = carry

        def at(params: PyTree) -> Array:
            return loss(params) if key is None else loss(params, key)

        value, gradient = jax.value_and_grad(at)(params)
        updates, state = optimizer.update(gradient, state, params, value=value, grad=gradient, value_fn=at)
        return (project(optax.apply_updates(params, updates)), state), value

    state = optimizer.init(start) if state is None else state
    (params, state), losses = jax.lax.scan(step, (start, state), keys, length=steps)
    return Synthesis(params, losses, state)


def maximize(
    score: Callable[[Array], Array],
    start: PyTree,
    optimizer: optax.GradientTransformation,
    steps: int,
    *,
    decode: Callable[[PyTree], Array] = lambda params: params,
    penalty: Callable[[Array], Array] = lambda image: jnp.zeros(()),
    transform: Callable[[Key, Array], Array] = lambda key, image: image,
    key: Key | None = None,
    project: Callable[[PyTree], PyTree] = lambda params: params,
) -> Synthesis:
    """Maximize ``sum_b score(transform(x))_b - penalty(x)`` over the images ``x = decode(params)``.

    Args:
        score: ``[B, ...] -> [B]`` or a number: a logit, or any neuron, for instance by `read`.
        start: parameters, such as images of zeros ``[B, H, W, C]``.
        optimizer: of this library or of optax.
        steps: number of steps.
        decode: from parameters to images.
        penalty: of the images, a number, for instance ``lambda x: 1e-3 * jnp.sum(x**2) + 1e-2 * jnp.sum(
            total_variation(x))``.
        transform: ``transform(key, images)``, a random change in every step, such as `jitter`.
        key: for the transformation; needed with one.
        project: applied to the parameters after every step.

    Returns:
        The result of `minimize`, whose losses are minus the objective.

    Raises:
        ValueError: ``steps`` is not positive, or the score has another shape.

    >>> kernel = jnp.array([[3.0], [4.0]])  # x = w / |w| on the unit sphere
    >>> sphere = lambda x: x / jnp.linalg.norm(x)
    >>> found = maximize(lambda x: (x @ kernel)[:, 0], jnp.zeros((1, 2)), optax.sgd(0.1), 50, project=sphere)
    >>> found.params.round(3).tolist() == linear_maximizer(kernel).round(3).tolist()
    True
    """

    def loss(params: PyTree, key: Key | None = None) -> Array:
        image = decode(params)
        return penalty(image) - _total(score, image if key is None else transform(key, image))

    return minimize(loss, start, optimizer, steps, key=key, project=project)


def maximize_by_line_search(
    score: Callable[[Array], Array],
    start: PyTree,
    steps: int,
    *,
    decode: Callable[[PyTree], Array] = lambda params: params,
    penalty: Callable[[Array], Array] = lambda image: jnp.zeros(()),
    initial_step: ArrayLike = 1.0,
) -> Synthesis:
    """Maximize ``sum_b score(x)_b - penalty(x)`` by gradient steps that never lower it.

    Every step is shortened by ``line_search.backtracking`` until the objective rises sufficiently; where none does,
    the image stays. ``initial_step`` is the first length that is tried along ``g / ||g||``, twice the last accepted one
    after that.

    Args:
        score: ``[B, ...] -> [B]`` or a number.
        start: parameters, such as images of zeros ``[B, H, W, C]``.
        steps: number of steps.
        decode: from parameters to images.
        penalty: of the images, a number.
        initial_step: the length of the first step that is tried.

    Returns:
        The parameters, the losses (minus the objective, which never rise) and the last accepted length.

    Raises:
        ValueError: ``steps`` or ``initial_step`` is not positive, or the score has another shape.

    >>> found = maximize_by_line_search(lambda x: -jnp.sum((x - 2.0) ** 2, axis=-1), jnp.zeros((1, 3)), steps=20)
    >>> found.params.round(2).tolist(), bool((jnp.diff(found.losses) <= 0).all())
    ([[2.0, 2.0, 2.0]], True)
    """
    check_positive_integer("steps", steps)
    check_in_range("initial_step", initial_step, includes_low=False)
    start = jax.tree.map(to_floating, start)

    def loss(params: PyTree) -> Array:
        image = decode(params)
        return penalty(image) - _total(score, image)

    def step(carry: tuple[PyTree, Array], _: None) -> tuple[tuple[PyTree, Array], Array]:
        params, length = carry
        value, gradient = jax.value_and_grad(loss)(params)
        size = tree.norm(gradient)
        direction = jax.tree.map(lambda g: -g / jnp.where(size == 0, 1, size), gradient)
        found = line_search.backtracking(loss, params, direction, gradient, initial_step=length)
        return (found.params, jnp.where(found.step_size > 0, 2 * found.step_size, length)), value

    length = jnp.asarray(initial_step, jnp.result_type(float))
    (params, length), losses = jax.lax.scan(step, (start, length), length=steps)
    return Synthesis(params, losses, length)


def inversion_loss(
    embed: Callable[[Array], Array], target: ArrayLike, *, variation: ArrayLike = 0.0, beta: float = 2.0
) -> Callable[[Array], Array]:
    """Make the loss of an image whose embedding is to be the target (Mahendran and Vedaldi, 2015).

    ``||embed(x) - target||^2 / ||target||^2 + variation * sum_b TV_beta(x)_b / (H W C)``, for `minimize`: the
    regularizer is on the image, not on the embedding.

    Args:
        embed: ``[B, H, W, C] -> [B, ...]``.
        target: the embedding of the image to reconstruct.
        variation: weight of the total variation.
        beta: its exponent, see `total_variation`.

    Raises:
        ValueError: when the loss is called: the embedding has another shape than the target.
    """
    target = widen_floating(target)

    def loss(x: Array) -> Array:
        found = embed(x)
        if found.shape != target.shape:
            raise ValueError(f"expected an embedding of the shape of the target, {target.shape}, got {found.shape}")
        error = jnp.sum((found - target) ** 2) / jnp.sum(target**2)
        return error + variation * jnp.sum(total_variation(x, beta=beta)) / x[0].size

    return loss


def total_variation(x: ArrayLike, *, beta: float = 2.0) -> Array:
    """Compute ``sum_(h, w, c) ((x[h, w+1] - x[h, w])^2 + (x[h+1, w] - x[h, w])^2)^(beta / 2)`` of each image.

    Differences beyond the last row and column are 0. Where both differences are 0, so is the gradient.

    Args:
        x: ``[B, H, W, C]``.
        beta: 1 for the total variation itself, 2 for its smooth form.

    Returns:
        ``[B]``.

    Raises:
        ValueError: ``x`` has another rank, or ``beta`` is not positive.

    >>> total_variation(jnp.array([[0.0, 3.0], [4.0, 4.0]]).reshape(1, 2, 2, 1), beta=1.0).tolist()
    [6.0]
    """
    x = widen_floating(x)
    if x.ndim != 4:
        raise ValueError(f"expected images [B, H, W, C], got {x.shape}")
    check_in_range("beta", beta, includes_low=False)
    across = jnp.pad(jnp.diff(x, axis=2), ((0, 0), (0, 0), (0, 1), (0, 0)))
    down = jnp.pad(jnp.diff(x, axis=1), ((0, 0), (0, 1), (0, 0), (0, 0)))
    squares = across**2 + down**2
    if beta != 2:
        squares = jnp.where(squares == 0, 0, jnp.where(squares == 0, 1, squares) ** (beta / 2))
    return jnp.sum(squares, axis=(1, 2, 3))


def jitter(key: Key, x: Array, pixels: int) -> Array:
    """Shift images ``[B, H, W, C]`` on a torus by random numbers of rows and columns, up to ``pixels`` either way.

    >>> jitter(jax.random.key(0), jnp.arange(4.0).reshape(1, 2, 2, 1), 0).ravel().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    return jnp.roll(x, jax.random.randint(key, (2,), -pixels, pixels + 1), axis=(1, 2))


def fourier_image(spectrum: Array, width: int, *, decay: float = 1.0) -> Array:
    """Make images of scaled Fourier coefficients, a parametrization in which all frequencies learn at once.

    ``x = F^-1(z / max(f, 1 / max(H, W))^decay)`` with the frequency ``f`` in cycles per pixel and the orthonormal real
    transform ``F``: coarse structures change as fast as the fine ones (Olah et al., 2017).

    Args:
        spectrum: real and imaginary parts of ``z``, ``[B, H, W // 2 + 1, C, 2]``; zeros give an image of zeros.
        width: ``W``.
        decay: exponent of the scale; 1 for the spectrum of natural images.

    Returns:
        ``[B, H, W, C]``.

    Raises:
        ValueError: the shape of the spectrum does not fit the width.

    >>> fourier_image(jnp.zeros((1, 4, 3, 3, 2)), width=4).shape
    (1, 4, 4, 3)
    """
    if spectrum.ndim != 5 or spectrum.shape[2] != width // 2 + 1 or spectrum.shape[-1] != 2:
        raise ValueError(f"expected a spectrum [B, H, {width // 2 + 1}, C, 2], got {spectrum.shape}")
    height = spectrum.shape[1]
    z = jax.lax.complex(spectrum[..., 0], spectrum[..., 1]) * _scale(height, width, decay)
    return jnp.fft.irfft2(z, (height, width), axes=(1, 2), norm="ortho")


def fourier_spectrum(x: ArrayLike, *, decay: float = 1.0) -> Array:
    """Compute the scaled Fourier coefficients of images ``[B, H, W, C]``, the inverse of `fourier_image`.

    Returns:
        ``[B, H, W // 2 + 1, C, 2]``.

    Raises:
        ValueError: ``x`` has another rank.
    """
    x = widen_floating(x)
    if x.ndim != 4:
        raise ValueError(f"expected images [B, H, W, C], got {x.shape}")
    _, height, width, _ = x.shape
    z = jnp.fft.rfft2(x, axes=(1, 2), norm="ortho") / _scale(height, width, decay)
    return jnp.stack([z.real, z.imag], axis=-1)


def linear_maximizer(kernel: ArrayLike) -> Array:
    """Compute ``x = w / ||w||`` of each unit, the input of length 1 that maximizes ``w^T x``, by Cauchy and Schwarz.

    Args:
        kernel: weights ``[..., K]`` of ``K`` linear units, such as those of a first layer, ``[H, W, C, K]``.

    Returns:
        The inputs ``[K, ...]``; 0 for a unit without weights.

    >>> linear_maximizer(jnp.array([[0.0, 0.0], [2.0, 0.0]])).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    w = jnp.moveaxis(widen_floating(kernel), -1, 0)
    size = jnp.sqrt(jnp.sum(w**2, axis=tuple(range(1, w.ndim)), keepdims=True))
    return w / jnp.where(size == 0, 1, size)


def _total(score: Callable[[Array], Array], image: Array) -> Array:
    """Sum the scores of all images."""
    scores = score(image)
    if jnp.shape(scores) not in ((), image.shape[:1]):
        raise ValueError(
            f"expected a score that is one number, or one per image, {image.shape[:1]}, got {jnp.shape(scores)}; "
            "choose a class with interpret.target_score(f, target)"
        )
    return jnp.sum(scores)


def _scale(height: int, width: int, decay: float) -> Array:
    rows, columns = jnp.fft.fftfreq(height)[:, None], jnp.fft.rfftfreq(width)[None]
    frequency = jnp.maximum(jnp.sqrt(rows**2 + columns**2), 1 / max(height, width))
    return (frequency**-decay)[None, :, :, None]
