"""The ordinary training step: gradient of a loss, then an optimizer's update."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from einops import rearrange
from jax.sharding import Mesh

from jaxdl import optim, tree
from jaxdl.arrays import widen
from jaxdl.checks import check_positive_integer
from jaxdl.train.gradient import count_examples, mean_gradient
from jaxdl.train.state import TrainState
from jaxdl.typing import Array, Batch, Key, PyTree

Metrics = dict[str, Array]
Loss = Callable[[dict[str, PyTree], Batch, Key], tuple[Array, tuple[dict[str, PyTree], Metrics]]]
"""``loss(variables, batch, key) -> (loss, (collections, metrics))``; the loss is a mean over the batch's examples."""
Step = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
"""The extension point of training: ``step(state, batch) -> (state, metrics)``."""


def make_step(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    *,
    accumulate: int = 1,
    axis_name: str | None = None,
    mesh: Mesh | None = None,
) -> Step:
    """Make the step ``g = d loss / d w;  u, s = update(g, s, w);  w = w + u``.

    Args:
        loss: the loss of a task.
        optimizer: one of ``jaxdl.optim`` or any optax transformation; its update also receives ``value=loss``.
        accumulate: number ``k`` of equal microbatches of a batch. Their gradients are averaged before the one update,
            weighted by the unmasked examples (``batch["mask"]``) and summed in at least float32, so that the result is
            that of the full batch in a ``k``-th of the memory. Metrics are averaged likewise. Batch statistics are
            updated by one microbatch after the other.
        axis_name: the mapped axis whose devices each hold a part of the batch, for ``explicit.with_shard_map`` and
            ``with_pmap`` only; loss, metrics and gradient are then averaged over it.
        mesh: the devices over which ``fit`` shards the rows of a batch: each microbatch then takes an equal share of
            every device's rows, and stays sharded.

    Returns:
        A pure function, neither jitted nor donating; ``train.fit`` compiles it. Its metrics are scalars: those of the
        task, ``loss``, ``gradient_norm``, ``parameter_norm`` and ``update_norm`` (Euclidean, over all leaves), and
        ``learning_rate`` if the optimizer's state has one.

    Raises:
        ValueError: ``accumulate`` is below one, or, when the step is traced, does not divide the batch.

    >>> def loss(variables, batch, key):
    ...     return jnp.mean((variables["params"]["w"] - batch["x"]) ** 2), ({}, {})
    >>> optimizer = optim.sgd(0.25)
    >>> state = TrainState.create({"params": {"w": jnp.array([0.0])}}, optimizer, jax.random.key(0))
    >>> state, metrics = make_step(loss, optimizer)(state, {"x": jnp.array([2.0])})
    >>> float(state.params["w"][0]), float(metrics["gradient_norm"])
    (1.0, 4.0)
    """
    check_positive_integer("accumulate", accumulate)
    gradient = accumulate_gradient(mean_gradient(_of_params(loss), axis_name), accumulate, axis_name, mesh)
    update = optax.with_extra_args_support(optimizer).update

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(state.key, state.step)
        (value, (collections, metrics)), grads = gradient(state.params, state.collections, batch, key)
        updates, opt_state = update(grads, state.opt_state, state.params, value=value)
        params = optax.apply_updates(state.params, updates)
        metrics = {
            **metrics,
            "loss": value,
            "gradient_norm": tree.norm(grads),
            "parameter_norm": tree.norm(params),
            "update_norm": tree.norm(updates),
        }
        learning_rate = optim.learning_rate(opt_state)
        if learning_rate is not None:
            metrics["learning_rate"] = learning_rate
        return TrainState(state.step + 1, params, collections, opt_state, state.key), metrics

    return step


def accumulate_gradient(
    gradient: Callable, parts: int, axis_name: str | None = None, mesh: Mesh | None = None
) -> Callable:
    """Make ``gradient(params, collections, batch, key)`` scan over equal microbatches and average."""
    if parts == 1:
        return gradient

    def over_parts(params: PyTree, collections: dict[str, PyTree], batch: Batch, key: Key):
        size = jax.tree.leaves(batch)[0].shape[0]
        if size % parts:
            raise ValueError(
                f"expected a batch size divisible by accumulate={parts}, got {size}; take a multiple of {parts}"
            )
        layout = "(k b) ... -> k b ..." if mesh is None else "(b k) ... -> k b ..."
        microbatches = jax.tree.map(lambda leaf: rearrange(leaf, layout, k=parts), batch)
        counts = jax.vmap(count_examples)(microbatches)
        if axis_name is not None:
            counts = jax.lax.psum(counts, axis_name)
        weights = counts / jnp.maximum(jnp.sum(counts), jnp.finfo(counts.dtype).tiny)

        def weighted(collections: dict[str, PyTree], microbatch: Batch, weight: Array, key: Key):
            (value, (collections, metrics)), grads = gradient(params, collections, microbatch, key)
            # A fully masked microbatch has no mean: it must add zero, not 0 * nan.
            values = (value, metrics, grads)
            return collections, jax.tree.map(lambda x: jnp.where(weight > 0, weight * widen(x), 0), values)

        def one(carry: tuple, part: tuple):
            collections, sums = carry
            collections, values = weighted(collections, *part)
            return (collections, tree.add(sums, values)), None

        inputs = (microbatches, weights, jax.random.split(key, parts))
        _, shapes = jax.eval_shape(weighted, collections, *tree.take(inputs, 0))
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        (collections, (value, metrics, grads)), _ = jax.lax.scan(one, (collections, zeros), inputs)
        grads = jax.tree.map(lambda g, w: g.astype(w.dtype), grads, params)
        return (value, (collections, metrics)), grads

    return over_parts


def _of_params(loss: Loss) -> Callable:
    """Separate the parameters, which are differentiated, from the other collections."""

    def of_params(params: PyTree, collections: dict[str, PyTree], batch: Batch, key: Key):
        return loss({"params": params, **collections}, batch, key)

    return of_params
