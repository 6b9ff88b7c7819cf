"""The sigmoid neuron with its gradient by hand, and approximation of a function by towers of sigmoid neurons."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdl.checks import check_one_of
from jaxdl.losses import binary_cross_entropy, mean_squared_error
from jaxdl.nn.activations import sigmoid
from jaxdl.typing import Array, ArrayLike, Key, PyTree

LOSSES = ("squared_error", "cross_entropy")


def init_sigmoid_neuron(key: Key, inputs: int, *, scale: float = 0.1) -> PyTree:
    """Sample normal weights of standard deviation ``scale``, ``{"kernel": [n], "bias": []}``; the bias is 0."""
    return {"kernel": scale * jax.random.normal(key, (inputs,)), "bias": jnp.zeros(())}


def sigmoid_neuron(params: PyTree, x: ArrayLike) -> Array:
    """Compute ``f(x) = 1 / (1 + e^-(w.x + b))``, a smooth perceptron.

    Args:
        params: ``{"kernel": w [n], "bias": b []}``.
        x: ``[..., n]``.

    >>> float(sigmoid_neuron({"kernel": jnp.array([2.0]), "bias": jnp.array(0.0)}, jnp.array([1.0])))
    0.88079...
    """
    return sigmoid(_pre_activation(params, x))


def sigmoid_neuron_loss(params: PyTree, x: ArrayLike, y: ArrayLike, *, loss: str = "cross_entropy") -> Array:
    """Compute the mean over examples of ``(f - y)^2`` or of ``-y ln f - (1 - y) ln(1 - f)``.

    Args:
        params: ``{"kernel": [n], "bias": []}``.
        x: ``[N, n]``.
        y: targets from 0 to 1, ``[N]``.
        loss: ``"squared_error"`` or ``"cross_entropy"``; with the latter the neuron is logistic regression.

    Raises:
        ValueError: the loss is unknown or the shapes differ.
    """
    check_one_of("loss", loss, LOSSES)
    a = _pre_activation(params, x)
    return mean_squared_error(sigmoid(a), y) if loss == "squared_error" else binary_cross_entropy(a, y)


def sigmoid_neuron_gradient(params: PyTree, x: ArrayLike, y: ArrayLike, *, loss: str = "cross_entropy") -> PyTree:
    """Compute the gradient of ``sigmoid_neuron_loss`` by hand.

    With ``f' = f (1 - f)`` the squared error gives ``dL/da = 2 (f - y) f (1 - f) / N``, which vanishes where the neuron
    saturates, even if it is wrong; the cross-entropy gives ``dL/da = (f - y) / N``. Then ``dL/dw = sum_i dL/da_i x_i``
    and ``dL/db = sum_i dL/da_i``. Arguments and errors as in ``sigmoid_neuron_loss``.

    >>> params = {"kernel": jnp.array([1.0]), "bias": jnp.array(0.0)}
    >>> float(sigmoid_neuron_gradient(params, jnp.array([[0.0]]), jnp.array([1.0]))["bias"])
    -0.5
    """
    check_one_of("loss", loss, LOSSES)
    x, y = jnp.asarray(x), jnp.asarray(y)
    f = sigmoid_neuron(params, x)
    delta = (f - y) / len(x)
    if loss == "squared_error":
        delta = 2 * delta * f * (1 - f)
    return {"kernel": delta @ x, "bias": jnp.sum(delta)}


def fit_sigmoid_neuron(
    params: PyTree,
    x: ArrayLike,
    y: ArrayLike,
    *,
    loss: str = "cross_entropy",
    learning_rate: ArrayLike = 1.0,
    steps: int = 1000,
) -> tuple[PyTree, Array]:
    """Run gradient descent on all examples: ``w <- w - learning_rate dL/dw``.

    Args:
        params: initial parameters.
        x: ``[N, n]``.
        y: ``[N]``.
        loss: ``"squared_error"`` or ``"cross_entropy"``.
        learning_rate: of every step.
        steps: number of steps.

    Returns:
        The parameters after the last step, and the loss before each, ``[steps]``.
    """

    def descend(params: PyTree, _: None) -> tuple[PyTree, Array]:
        gradient = sigmoid_neuron_gradient(params, x, y, loss=loss)
        before = sigmoid_neuron_loss(params, x, y, loss=loss)
        return jax.tree.map(lambda p, g: p - learning_rate * g, params, gradient), before

    return jax.lax.scan(descend, params, length=steps)


def towers(
    function: Callable[[Array], Array], low: float, high: float, count: int, *, sharpness: float = 100.0
) -> PyTree:
    """Approximate a continuous function by towers, each the difference of two steep sigmoid neurons.

    ``f(x) ~ sum_k f(m_k) (sigmoid(s (x - l_k)) - sigmoid(s (x - r_k)))`` with the middle ``m_k`` and the edges ``l_k``,
    ``r_k`` of ``count`` equal intervals, one hidden layer of ``2 count`` neurons (an illustration of
    Cybenko, 1989). The error decreases as ``1 / count``.

    Args:
        function: elementwise, ``[K]`` to ``[K]``.
        low: lower end of the first interval.
        high: upper end of the last interval.
        count: number of towers.
        sharpness: the steepness ``s`` of the walls, over the width of a tower.

    Returns:
        ``{"hidden": {"kernel": [2 K], "bias": [2 K]}, "output": {"kernel": [2 K]}}`` for ``apply_towers``.

    Raises:
        ValueError: the interval is empty or the count is less than 1.

    >>> params = towers(jnp.square, 0.0, 1.0, 100)
    >>> round(float(apply_towers(params, 0.5)), 2)
    0.25
    """
    if count < 1 or not low < high:
        raise ValueError(f"expected low < high and count >= 1, got {low}, {high} and {count}")
    width = (high - low) / count
    edges = jnp.linspace(low, high, count + 1)
    heights = function((edges[1:] + edges[:-1]) / 2)
    # The outermost walls stand outside, so that the ends of the interval are not half-way up a wall.
    edges = edges.at[0].add(-width).at[-1].add(width)
    steepness = sharpness / width
    places = jnp.concatenate([edges[:-1], edges[1:]])
    return {
        "hidden": {"kernel": jnp.full(2 * count, steepness), "bias": -steepness * places},
        "output": {"kernel": jnp.concatenate([heights, -heights])},
    }


def apply_towers(params: PyTree, x: ArrayLike) -> Array:
    """Compute ``sum_j v_j sigmoid(w_j x + b_j)`` for ``x [...]``."""
    x = jnp.asarray(x)[..., None]
    kernel, bias = (jnp.expand_dims(params["hidden"][name], tuple(range(x.ndim - 1))) for name in ("kernel", "bias"))
    return sigmoid(x * kernel + bias) @ params["output"]["kernel"]


def _pre_activation(params: PyTree, x: ArrayLike) -> Array:
    return jnp.asarray(x) @ params["kernel"] + params["bias"]
