"""Neural style and DeepDream: images by the statistics and the strength of a network's features.

``features(x)`` returns a dict of feature maps ``{layer: [B, H, W, C]}``; for a model of this library it is ``lambda x:
model.apply(variables, x, return_intermediates=True)[1]``, for any other function `read`.
"""

from collections.abc import Callable, Mapping, Sequence

import einops
import jax
import jax.numpy as jnp

from jaxdl.arrays import to_floating, widen_floating
from jaxdl.checks import check_in_range, check_positive_integer, did_you_mean, shorten
from jaxdl.interpret.scores import check_images
from jaxdl.interpret.synthesis import jitter, total_variation
from jaxdl.typing import Array, ArrayLike, Key

Features = Callable[[Array], Mapping[str, Array]]


def gram_matrix(features: ArrayLike) -> Array:
    """Compute ``G = V V^T / (H W)``, the mean over the positions of the products of channels.

    ``V`` is ``[C, H W]``. Gatys et al. (2016) do not divide by ``M = H W``; with it, images of different sizes have
    comparable matrices.

    Args:
        features: ``[..., H, W, C]``.

    Returns:
        ``[..., C, C]``.

    Raises:
        ValueError: the rank is less than 3.

    >>> gram_matrix(jnp.array([[[1.0, 2.0], [3.0, 4.0]]])).tolist()
    [[5.0, 7.0], [7.0, 10.0]]
    """
    V = widen_floating(features)
    if V.ndim < 3:
        raise ValueError(f"expected features [..., H, W, C], got {V.shape}")
    V = einops.rearrange(V, "... h w c -> ... (h w) c")
    return jnp.einsum("...pc,...pd->...cd", V, V) / V.shape[-2]


def style_loss(features: ArrayLike, gram: ArrayLike) -> Array:
    """Compute ``sum_(i, j) (G_ij - A_ij)^2 / (4 C^2)``, the distance to a style's Gram matrix.

    For images of the size of the style's it equals ``1 / (4 N^2 M^2) sum (V V^T - A)^2`` of Gatys et al. (2016), with
    ``N = C`` channels and ``M = H W`` positions.

    Args:
        features: ``[..., H, W, C]``.
        gram: ``A``, the `gram_matrix` of the style's features, ``[..., C, C]``.

    Returns:
        ``[...]``.
    """
    G = gram_matrix(features)
    return jnp.sum((G - gram) ** 2, axis=(-2, -1)) / (4 * G.shape[-1] ** 2)


def content_loss(features: ArrayLike, target: ArrayLike) -> Array:
    """Compute ``1/2 sum (F - P)^2`` over positions and channels (Gatys et al., 2016).

    Args:
        features: ``F``, ``[..., H, W, C]``.
        target: ``P``, the features of the content image.

    Returns:
        ``[...]``.

    Raises:
        ValueError: the shapes differ.
    """
    features, target = widen_floating(features), widen_floating(target)
    if features.shape != target.shape:
        raise ValueError(f"expected features of the shape of the target, {target.shape}, got {features.shape}")
    return 0.5 * jnp.sum((features - target) ** 2, axis=(-3, -2, -1))


def neural_style(
    features: Features,
    content: ArrayLike,
    style: ArrayLike,
    *,
    content_layers: Sequence[str],
    style_layers: Sequence[str],
    content_weight: ArrayLike = 1.0,
    style_weight: ArrayLike = 1e3,
    variation_weight: ArrayLike = 0.0,
) -> Callable[[Array], Array]:
    """Make the loss of an image with the content of one image and the style of another (Gatys et al., 2016).

    ``alpha mean_l content_l + beta mean_l style_l + gamma TV``, summed over the batch: for `minimize` with Adam or
    L-BFGS, from the content image. The content grows with the square of the features and with the number of positions,
    the style with the fourth power of the features: a network of other units needs another ``beta``.

    Args:
        features: ``x -> {layer: [B, H, W, C]}``.
        content: image ``[B, H, W, C]``.
        style: image ``[B, H2, W2, C]``.
        content_layers: whose features are to be those of the content.
        style_layers: whose Gram matrices are to be those of the style.
        content_weight: ``alpha``.
        style_weight: ``beta``.
        variation_weight: ``gamma``, of `total_variation`.

    Returns:
        ``loss(x)``, a number.

    Raises:
        ValueError: a layer is unknown, or there is none.
    """
    content, style = to_floating(content), to_floating(style)
    known = jax.eval_shape(features, content).keys()
    for layer in (*content_layers, *style_layers):
        if layer not in known:
            raise ValueError(f"expected the name of a layer, got {shorten(repr(layer))}; {did_you_mean(layer, known)}")
    if not content_layers or not style_layers:
        raise ValueError(f"expected layers of both kinds, got {tuple(content_layers)} and {tuple(style_layers)}")
    of_content, of_style = features(content), features(style)
    targets = {layer: of_content[layer] for layer in content_layers}
    grams = {layer: gram_matrix(of_style[layer]) for layer in style_layers}

    weights = [jnp.asarray(each, content.dtype) for each in (content_weight, style_weight, variation_weight)]

    def loss(x: Array) -> Array:
        found = features(x)
        contents = [jnp.sum(content_loss(found[layer], target)) for layer, target in targets.items()]
        styles = [jnp.sum(style_loss(found[layer], gram)) for layer, gram in grams.items()]
        terms = [jnp.mean(jnp.stack(contents)), jnp.mean(jnp.stack(styles)), jnp.sum(total_variation(x))]
        return jnp.dot(jnp.stack(weights), jnp.stack(terms))

    return loss


def deep_dream(
    activations: Callable[[Array], Array],
    image: ArrayLike,
    key: Key,
    *,
    octaves: int = 4,
    scale: float = 1.4,
    steps: int = 10,
    step_size: ArrayLike = 0.03,
    pixels: int = 16,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Array:
    """Raise the mean square ``mean(h^2)`` of activations, from coarse to fine (Mordvintsev et al., 2015).

    The image is reduced ``octaves - 1`` times by ``scale``. At each size, from the smallest, follow ``steps`` steps of
    gradient ascent ``x + step_size g / mean|g|`` on jittered images; the detail that they added is enlarged to the next
    size and added to the image of that size.

    Args:
        activations: ``[B, H, W, C] -> h`` of any shape, for images of every size; smaller than the layer's window gives
            its error.
        image: ``[B, H, W, C]``.
        key: for the jitter.
        octaves: number of sizes.
        scale: ratio of two sizes.
        steps: of each size.
        step_size: mean change of a pixel in a step.
        pixels: of the jitter.
        bounds: of the pixels.

    Returns:
        ``[B, H, W, C]``.

    Raises:
        ValueError: an argument is outside of its range, or the image of the bounds.
    """
    check_positive_integer("octaves", octaves)
    check_positive_integer("steps", steps)
    check_in_range("scale", scale, 1.0, includes_low=False)
    image = check_images(image, bounds)
    if image.ndim != 4:
        raise ValueError(f"expected images [B, H, W, C], got {image.shape}")
    height, width = image.shape[1:3]
    sizes = [(round(height / scale**n), round(width / scale**n)) for n in reversed(range(octaves))]
    if min(sizes[0]) < 1:
        raise ValueError(
            f"expected octaves and a scale that leave a pixel, got {octaves} and {scale} for {image.shape}"
        )

    def ascend(x: Array, key: Key) -> tuple[Array, None]:
        gradient = jax.grad(lambda x: jnp.mean(activations(jitter(key, x, pixels)) ** 2))(x)
        mean = jnp.mean(jnp.abs(gradient), axis=(1, 2, 3), keepdims=True)
        return jnp.clip(x + step_size * gradient / jnp.where(mean == 0, 1, mean), *bounds), None

    detail = jnp.zeros((len(image), *sizes[0], image.shape[-1]), image.dtype)
    for size, octave_key in zip(sizes, jax.random.split(key, octaves), strict=True):
        shape = (len(image), *size, image.shape[-1])
        base = jax.image.resize(image, shape, "linear")
        start = jnp.clip(base + jax.image.resize(detail, shape, "linear"), *bounds)
        dream, _ = jax.lax.scan(ascend, start, jax.random.split(octave_key, steps))
        detail = dream - base
    return dream
