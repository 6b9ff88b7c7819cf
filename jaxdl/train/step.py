"""The ordinary training step: gradient of a loss, then an optimizer's update."""

from __future__ import annotations  # short signatures in help

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from einops import rearrange
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxdl import optim, tree
from jaxdl.arrays import widen
from jaxdl.checks import check_in_range, check_one_of, check_positive_integer
from jaxdl.train.gradient import Count, count_examples, count_rows, from_additive, mean_gradient, to_additive
from jaxdl.train.precision import PRECISIONS, adjust_loss_scale, in_precision, init_loss_scale
from jaxdl.train.state import TrainState, check_optimizer
from jaxdl.typing import Array, Batch, Key, PyTree, Schedule

Metrics = dict[str, Array]
Loss = Callable[[dict[str, PyTree], Batch, Key], tuple[Array, tuple[dict[str, PyTree], Metrics]] | Array]
"""``loss(variables, batch, key) -> (loss, (collections, metrics))``; the loss is a mean over the batch's examples.

Without collections and metrics it may return the loss alone.
"""
Step = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
"""The extension point of training: ``step(state, batch) -> (state, metrics)``."""


def make_step(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    *,
    accumulate: int = 1,
    axis_name: str | None = None,
    mesh: Mesh | None = None,
    count: Count | None = None,
    average: float | Schedule | None = None,
    precision: str = "float32",
) -> Step:
    """Make the step ``g = d loss / d w;  u, s = update(g, s, w);  w = w + u``.

    Args:
        loss: the loss of a task.
        optimizer: one of ``jaxdl.optim`` or any optax transformation; its update also receives ``value=loss``, and
            without ``accumulate`` and ``axis_name`` the ``grad`` and ``value_fn`` of a line search, as of
            ``optax.lbfgs``.
        accumulate: number ``k`` of equal microbatches of a batch, each of every ``k``-th row; scalars go to all. Their
            gradients are averaged before the one update, weighted by ``count`` and summed in at least float32, so that
            the result is that of the full batch in a ``k``-th of the memory. Metrics are averaged likewise,
            perplexities by their geometric mean. Batch statistics are updated by one microbatch after the other.
        axis_name: the mapped axis whose devices each hold a part of the batch, for ``explicit.with_shard_map`` and
            ``with_pmap`` only; loss, metrics and gradient are then averaged over it.
        mesh: the devices over which ``fit`` shards the rows of a batch: each microbatch is then sharded too.
        count: ``count(batch)``, the denominator of the mean that the loss is, which weights the parts of a batch. By
            default it is ``loss.count``, which the losses of tasks have; else the sum of ``batch["mask"]``, or the
            number of rows.
        average: keep the average ``a_t = d a_(t-1) + (1 - d) w_t`` of the parameters in ``state.average``, from
            ``a_0 = w_0``: its decay ``d``, in [0, 1], or a schedule of ``t``, as `optim.averaging.equal_weights` for
            stochastic weight averaging. ``state.averaged`` are the variables with it.
        precision: "float32"; or "bfloat16" or "float16", in which linen modules compute, see `precision.modules_in`,
            while parameters, gradients, the loss outside of the module and the update are in float32. With "float16"
            the loss is multiplied by ``state.loss_scale``, and a step whose gradient overflows changes neither
            parameters nor collections nor the optimizer's state: `precision.adjust_loss_scale`.

    `prepare` adds the average and the scale to a state, and ``fit`` does so too; else the first call of the step does.

    The collections of modules whose parameters are all frozen by `optim.freeze`, such as running statistics of batch
    norms, are kept too.

    Returns:
        A pure function, neither jitted nor donating; ``train.fit`` compiles it. Its metrics are scalars: those of the
        task, ``loss``, ``gradient_norm``, ``parameter_norm`` and ``update_norm`` (Euclidean, over all leaves), and
        ``learning_rate`` if the optimizer's state has one; with "float16" also ``loss_scale``, and ``skipped``, 1 for
        an overflow and else 0.

    Raises:
        ValueError: ``accumulate`` is below one, ``average`` outside of [0, 1], or the precision unknown. When the step
            is traced: ``accumulate`` does not divide the batch, the arrays of the batch differ in their rows, the parts
            of a batch with lengths have no ``count``, or the loss returns other collections than the state has.
        TypeError: the optimizer is none, or, when the step is traced, the loss returns something else than a `Loss`.

    >>> def loss(variables, batch, key):
    ...     return jnp.mean((variables["params"]["w"] - batch["x"]) ** 2), ({}, {})
    >>> optimizer = optim.sgd(0.25)
    >>> state = TrainState.create({"params": {"w": jnp.array([0.0])}}, optimizer, jax.random.key(0))
    >>> state, metrics = make_step(loss, optimizer)(state, {"x": jnp.array([2.0])})
    >>> float(state.params["w"][0]), float(metrics["gradient_norm"])
    (1.0, 4.0)
    """
    check_positive_integer("accumulate", accumulate)
    check_optimizer(optimizer)
    check_one_of("precision", precision, PRECISIONS)
    if average is not None and not callable(average):
        check_in_range("average", average, 0, 1)
    count = count or getattr(loss, "count", None)
    of_params = separate_params(in_precision(loss, precision))
    update = optax.with_extra_args_support(optimizer).update
    scales = precision == "float16"

    def prepare(state: TrainState) -> TrainState:
        if average is not None and state.average is None:
            state = dataclasses.replace(state, average=jax.tree.map(lambda w: jnp.copy(widen(w)), state.params))
        if scales and state.loss_scale is None:
            state = dataclasses.replace(state, loss_scale=init_loss_scale(jnp.shape(state.step)))
        return state

    def gradient(state: TrainState, batch: Batch, key: Key) -> tuple:
        scale = state.loss_scale.scale if scales else None
        part = mean_gradient(of_params if scale is None else _multiplied(of_params, scale), axis_name, count)
        whole = accumulate_gradient(part, accumulate, axis_name, mesh, count)
        (value, aux), grads = whole(state.params, state.collections, batch, key)
        if scale is not None:
            value, grads = jax.tree.map(lambda x: (x / scale).astype(x.dtype), (value, grads))
        return value, aux, grads

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        if count is None and (accumulate > 1 or axis_name is not None):
            _check_counted_by_rows(batch)
        state = prepare(state)
        key = jax.random.fold_in(state.key, state.step)
        value, (collections, metrics), grads = gradient(state, batch, key)
        extra: dict[str, Any] = {"value": value}
        if accumulate == 1 and axis_name is None:
            extra |= {"grad": grads, "value_fn": lambda params: of_params(params, state.collections, batch, key)[0]}
        updates, opt_state = update(grads, state.opt_state, state.params, **extra)
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
        frozen = optim.frozen_paths(opt_state)
        if frozen:
            collections = _keep_frozen(collections, state, frozen)
        changes = {"params": params, "collections": collections, "opt_state": opt_state}
        if scales:
            changes, overflow = _keep_at_overflow(changes, state, grads)
            metrics |= {"loss_scale": state.loss_scale.scale, "skipped": overflow.astype(jnp.int32)}
            changes["loss_scale"] = adjust_loss_scale(state.loss_scale, ~overflow)
        if average is not None:
            decay = average(state.step + 1) if callable(average) else average
            changes["average"] = optim.averaging.blend(state.average, changes["params"], decay)
        return dataclasses.replace(state, step=state.step + 1, **changes), metrics

    step.prepare = prepare  # pyright: ignore[reportFunctionMemberAccess]
    return step


def prepare(step: Step, state: PyTree) -> PyTree:
    """Add to a state what a step keeps in it: the average of the parameters, the scale of the loss.

    A state that has them, or a step that needs nothing, leaves the state as it is. ``fit`` calls it; call it before a
    checkpoint with these parts is restored, or before a scan over the step. A function around a step passes this on by
    ``functools.wraps``, as `jax.vmap` does.

    >>> def loss(variables, batch, key):
    ...     return jnp.mean((variables["params"]["w"] - batch["x"]) ** 2), ({}, {})
    >>> state = TrainState.create({"params": {"w": jnp.ones(2)}}, optim.sgd(0.1), jax.random.key(0))
    >>> prepare(make_step(loss, optim.sgd(0.1), average=0.99), state).average
    {'w': Array([1., 1.], dtype=float32)}
    """
    return getattr(step, "prepare", lambda state: state)(state)


def _multiplied(loss: Callable[..., Any], scale: Array) -> Callable[..., Any]:
    """Multiply a loss by a scale; its metrics stay."""

    def multiplied(*arguments: Any) -> tuple[Array, Any]:
        value, aux = loss(*arguments)
        return value * scale, aux

    return multiplied


def _keep_at_overflow(changes: dict[str, PyTree], state: TrainState, grads: PyTree) -> tuple[dict[str, PyTree], Array]:
    """Keep the parts of a state if a gradient is not finite; return the parts, and whether one is not."""
    finite = jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(grads)]))
    kept = {name: getattr(state, name) for name in changes}
    return jax.tree.map(lambda new, old: jnp.where(finite, new, old), changes, kept), ~finite


def accumulate_gradient(
    gradient: Callable,
    parts: int,
    axis_name: str | None = None,
    mesh: Mesh | None = None,
    count: Count | None = None,
) -> Callable:
    """Make ``gradient(params, collections, batch, key)`` scan over equal microbatches and average.

    Arguments as in `make_step`. A microbatch is every ``k``-th row: so it has an equal share of every device's rows,
    and one device and many cut a batch into the same parts.
    """
    if parts == 1:
        return gradient

    def over_parts(params: PyTree, collections: dict[str, PyTree], batch: Batch, key: Key):
        microbatches = cut_batch(batch, parts, f"accumulate={parts}", mesh)
        counts = jax.vmap(count or count_examples)(microbatches)
        if axis_name is not None:
            counts = jax.lax.psum(counts, axis_name)
        weights = counts / jnp.maximum(jnp.sum(counts), jnp.finfo(counts.dtype).tiny)

        def weighted(collections: dict[str, PyTree], microbatch: Batch, weight: Array, key: Key):
            (value, (collections, metrics)), grads = gradient(params, collections, microbatch, key)
            # A fully masked microbatch has no mean: it must add zero, not 0 * nan.
            values = (value, to_additive(metrics), grads)
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
        return (value, (collections, from_additive(metrics))), grads

    return over_parts


def cut_batch(batch: Batch, parts: int, name: str, mesh: Mesh | None = None) -> Batch:
    """Cut a batch into ``k`` equal microbatches of every ``k``-th row, ``[k, B / k, ...]``; scalars go to all.

    Args:
        batch: arrays ``[B, ...]`` and scalars.
        parts: ``k``.
        name: of the option, for the error.
        mesh: the devices over which the rows are sharded, those of each microbatch too.

    Raises:
        ValueError: ``k`` does not divide the batch, or the arrays differ in their rows.

    >>> cut_batch({"x": jnp.arange(4)}, 2, "accumulate=2")["x"].tolist()
    [[0, 2], [1, 3]]
    """
    sharding = None
    if mesh is not None and "data" in mesh.shape:
        sharding = NamedSharding(Mesh(mesh.devices, mesh.axis_names), PartitionSpec(None, "data"))
    size = count_rows(batch)
    if size % parts:
        raise ValueError(f"expected a batch size divisible by {name}, got {size}; take a multiple of {parts}")

    def cut(leaf: Array) -> Array:
        if not jnp.ndim(leaf):
            return jnp.broadcast_to(leaf, (parts,))
        leaf = rearrange(leaf, "(b k) ... -> k b ...", k=parts)
        return leaf if sharding is None else jax.lax.with_sharding_constraint(leaf, sharding)

    return jax.tree.map(cut, batch)


def separate_params(loss: Loss) -> Callable[..., Any]:
    """Make ``loss(params, collections, batch, key)``, which is differentiated by its first argument, of a `Loss`.

    What the loss returns is checked.
    """

    def of_params(params: PyTree, collections: dict[str, PyTree], batch: Batch, key: Key):
        output = loss({"params": params, **collections}, batch, key)
        if isinstance(output, jax.Array) and output.ndim == 0:
            output = output, ({}, {})
        _check_loss(output, collections)
        return output

    return of_params


def _check_loss(output: Any, collections: Mapping[str, PyTree]) -> None:
    """Check that a loss has returned ``(loss, (collections, metrics))``, with the collections of the state."""
    expected = "expected the loss to return (loss, (collections, metrics)), a scalar and two dicts, got"
    aux = output[1] if isinstance(output, tuple) and len(output) == 2 else None
    if not (isinstance(aux, tuple) and len(aux) == 2 and all(isinstance(part, Mapping) for part in aux)):
        raise TypeError(f"{expected} {_form(output)}; return loss, ({{}}, {{}}) without collections and metrics")
    if jnp.shape(output[0]):
        raise TypeError(f"{expected} a loss of shape {jnp.shape(output[0])}; return its mean")
    if aux[0].keys() != collections.keys():
        raise ValueError(
            f"expected the loss to return the collections of the state, {sorted(collections)}, got {sorted(aux[0])}; "
            "return those that model.apply(..., mutable=[...]) updates"
        )


def _keep_frozen(collections: dict[str, PyTree], state: TrainState, frozen: frozenset[str]) -> dict[str, PyTree]:
    """Restore the collections of modules whose parameters are all frozen.

    A module without parameters, such as a batch norm without scale and bias, counts as a part of the one around it.
    """

    def ancestors(path: str) -> list[str]:
        parts = path.split("/")
        return ["/".join(parts[:end]) for end in range(len(parts), 0, -1)]

    is_frozen = {path: any(part in frozen for part in ancestors(path)) for path in tree.flatten(state.params)}

    def keep(path: str, new: Array, old: Array) -> Array:
        for module in [*ancestors(path)[1:], ""]:
            own = [kept for param, kept in is_frozen.items() if not module or param.startswith(f"{module}/")]
            if own:
                return old if all(own) else new
        return new

    return {name: tree.map_with_path(keep, new, state.collections[name]) for name, new in collections.items()}


def _form(value: Any) -> str:
    """Describe what a loss has returned."""
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_form, value))})"
    return f"an array of shape {jnp.shape(value)}" if hasattr(value, "shape") else f"a {type(value).__name__}"


def _check_counted_by_rows(batch: Batch) -> None:
    """Check that a batch has no lengths, as the loss may be a mean over valid steps, which only the caller knows."""
    lengths = [name for name in batch if name.endswith(("length", "lengths"))] if isinstance(batch, Mapping) else []
    if lengths:
        raise ValueError(
            f"expected count=... for a batch with lengths that is processed in parts, got {lengths}; give "
            "count=train.count_examples for a loss that is a mean over rows, count=lambda batch: "
            'jnp.sum(batch["length"]) for one over steps'
        )
