"""The only scan over time: any cell over sequences, with lengths, in both directions, in stacks.

For ``x_1 .. x_T`` it is the loop ``h_t, y_t = cell(parameters, h_(t-1), x_t)``. The part of the steps that needs no
state is done before the loop as one product over all times. Vanilla cells, LSTM and GRU go backward by equations of
their own, with the gradient of the weights as one product after the loop (``jaxdl.nn.recurrent.gradients``); other
cells are differentiated as they stand.

Sequences are ``[..., T, D]``. A time that a mask rules out changes nothing: the state stays, the output is 0 and no
gradient flows, whatever stands in the input. So a padded sequence in reverse begins at its last true time.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxdl.nn.noise import dropout
from jaxdl.nn.recurrent import cudnn
from jaxdl.nn.recurrent.cells import Cell, Parameters, init
from jaxdl.nn.recurrent.gradients import rule_for
from jaxdl.nn.recurrent.inputs import check_names, check_parameters, check_sequences, prepare_carry
from jaxdl.typing import Array, ArrayLike, Batch, Key, PyTree

BACKENDS = ("scan", "cudnn")


DIRECTIONS = ("forward", "backward")


WIDE = 256
"""Features from which a turn of the forward loop does two steps. On a CPU, XLA runs the operations of a turn side by
side only if there are enough of them: measured for the LSTM, that gained a quarter at 256 features and lost an eighth
at 128.
"""


Run = Callable[[Parameters, PyTree, Array, Array | None], tuple[PyTree, Array]]


def scan(
    cell: Cell,
    parameters: Parameters,
    x: ArrayLike,
    carry: PyTree | None = None,
    *,
    lengths: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    reverse: bool = False,
    remat_chunks: int = 1,
    tbptt_length: int | None = None,
    custom_vjp: bool = True,
    backend: str = "scan",
) -> tuple[PyTree, Array]:
    """Return the last state and all outputs of a cell over a sequence, in the dtype of ``x``.

    Args:
        cell: what is done at each time.
        parameters: of the cell, from ``cells.init``.
        x: ``[..., T, D]``.
        carry: the state before the first time; None for zeros.
        lengths: ``[...]``; what comes after is padding.
        mask: ``[..., T]``, where 0 is padding, anywhere; in the place of ``lengths``.
        reverse: go from the last time to the first; outputs keep the places of their inputs.
        remat_chunks: cut the time into so many pieces, keep the states between them alone, and compute the rest again
            for the gradient. ``sqrt(T)`` pieces need the least memory: ``sqrt(T)`` steps beside the input and the
            output.
        tbptt_length: cut the gradient, not the state, after every so many steps: truncated backpropagation through time
            (Williams and Peng, 1990). From ``T`` on nothing is cut.
        custom_vjp: use the equations written for the cell, if there are any. With False, forward-mode differentiation
            works (``jax.jvp``).
        backend: ``"scan"`` does everything everywhere; ``"cudnn"`` is NVIDIA's LSTM (``jaxdl.nn.recurrent.cudnn``),
            for the cell ``LSTM(H)`` in float32, with lengths of at least 1 or none.

    Returns:
        The state after the last time, and the outputs ``[..., T, H]``.

    Raises:
        ValueError: the shapes do not fit each other, a number is not positive, a length is more than ``T`` (where it is
            known before tracing), or the backend cannot do what is asked.

    >>> parameters = {"kernel": jnp.ones((1, 1)), "recurrent_kernel": jnp.ones((1, 1))}
    >>> from jaxdl.nn.recurrent.cells import Vanilla
    >>> h, y = jax.jit(partial(scan, Vanilla(1, "identity")))(parameters, jnp.array([[1.0], [2.0], [9.0]]), lengths=2)
    >>> h.tolist(), y.tolist()
    ([3.0], [[1.0], [3.0], [0.0]])
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend must be {' or '.join(map(repr, BACKENDS))}; got {backend!r}")
    x, keep = check_sequences(x, lengths, mask, remat_chunks, tbptt_length)
    batch_shape, (steps, size) = x.shape[:-2], x.shape[-2:]
    check_parameters(cell, parameters, size)
    carry = prepare_carry(cell, carry, batch_shape, x.dtype)
    parameters = jax.tree.map(lambda leaf: jnp.asarray(leaf, x.dtype), parameters)
    if keep is not None:
        x = jnp.where(keep[..., None], x, jnp.zeros((), x.dtype))
    x = x.reshape(-1, steps, size)
    if backend == "cudnn":
        options = {
            "remat_chunks": remat_chunks > 1,
            "tbptt_length": tbptt_length is not None,
            "custom_vjp": not custom_vjp,
        }
        lengths = None if lengths is None else jnp.asarray(lengths).ravel()
        cudnn.check(cell, x, lengths, mask, options)
        carry, y = cudnn.lstm(parameters, carry, x, lengths, reverse)
    else:
        run = partial(_run, cell, reverse, custom_vjp)
        if remat_chunks > 1:
            run = _in_chunks(jax.checkpoint(run), -(-min(tbptt_length or steps, steps) // remat_chunks), reverse)
        if tbptt_length is not None and tbptt_length < steps:
            run = _in_chunks(run, tbptt_length, reverse, between=jax.lax.stop_gradient)
        keep = None if keep is None else keep.reshape(-1, steps).T
        carry, y = run(parameters, carry, jnp.moveaxis(x, 1, 0), keep)
        y = jnp.moveaxis(y, 0, 1)
    carry = jax.tree.map(lambda leaf: leaf.reshape(*batch_shape, leaf.shape[-1]), carry)
    return carry, y.reshape(*batch_shape, steps, y.shape[-1])


def bidirectional_scan(
    cell: Cell, parameters: PyTree, x: ArrayLike, carry: PyTree | None = None, **options: Any
) -> tuple[PyTree, Array]:
    """Run one cell forward and one backward (Schuster and Paliwal, 1997), with their outputs side by side.

    Args:
        cell: what is done at each time.
        parameters: ``{"forward": ..., "backward": ...}``.
        x: ``[..., T, D]``.
        carry: ``{"forward": ..., "backward": ...}``, or None.
        options: of ``scan``.

    Returns:
        The last state of each direction, which for "backward" is that at the first time, and ``[..., T, 2 H]``.
    """
    check_names("a scan in both directions", parameters, DIRECTIONS)
    carry = carry or {"forward": None, "backward": None}
    forward, y = scan(cell, parameters["forward"], x, carry["forward"], **options)
    backward, y_back = scan(cell, parameters["backward"], x, carry["backward"], reverse=True, **options)
    return {"forward": forward, "backward": backward}, jnp.concatenate([y, y_back], axis=-1)


def stack(
    cells: Sequence[Cell],
    parameters: PyTree,
    x: ArrayLike,
    carries: Sequence[PyTree] | None = None,
    *,
    bidirectional: bool = False,
    dropout_rate: ArrayLike = 0.0,
    key: Key | None = None,
    train: bool = False,
    **options: Any,
) -> tuple[tuple[PyTree, ...], Array]:
    """Run layers of cells, each over the outputs of the one before, with dropout between them.

    Args:
        cells: one a layer.
        parameters: ``{"layer0": ..., "layer1": ...}``, from ``init_stack``.
        x: ``[..., T, D]``.
        carries: the states before the first time, one a layer, or None.
        bidirectional: every layer is a ``bidirectional_scan``.
        dropout_rate: share dropped of the outputs of every layer but the last.
        key: for the dropout.
        train: drop.
        options: of ``scan``.

    Returns:
        The last states, one a layer, and the outputs of the last layer.

    Raises:
        ValueError: there are not as many carries as cells, or a key is missing.
    """
    carries = [None] * len(cells) if carries is None else carries
    if len(carries) != len(cells):
        raise ValueError(f"stack expects one carry for each of its {len(cells)} cells; got {len(carries)}")
    check_names(f"a stack of {len(cells)}", parameters, tuple(f"layer{index}" for index in range(len(cells))))
    layer = bidirectional_scan if bidirectional else scan
    keys = [None] * len(cells) if key is None else jax.random.split(key, len(cells))
    last, y = [], x
    for index, cell in enumerate(cells):
        if index and train:
            y = dropout(keys[index], y, dropout_rate)
        carry, y = layer(cell, parameters[f"layer{index}"], y, carries[index], **options)
        last.append(carry)
    return tuple(last), y


def init_stack(
    key: Key, cells: Sequence[Cell], in_features: int, *, bidirectional: bool = False, dtype: Any = jnp.float32
) -> dict[str, PyTree]:
    """Draw the parameters of ``stack``."""
    parameters = {}
    for index, (cell, keys) in enumerate(zip(cells, jax.random.split(key, (len(cells), 2)), strict=True)):
        layers = {way: init(keys[n], cell, in_features, dtype) for n, way in enumerate(DIRECTIONS[: 1 + bidirectional])}
        parameters[f"layer{index}"] = layers if bidirectional else layers["forward"]
        in_features = cell.output_size * (1 + bidirectional)
    return parameters


def chunks(batch: Batch, length: int) -> Batch:
    """Cut the time of a batch into pieces, for training that carries the state from one to the next.

    Args:
        batch: arrays ``[B, T, ...]``; ``"mask"`` is ``[B, T]``, and is made if there is none.
        length: steps of a piece.

    Returns:
        Arrays ``[N, B, length, ...]`` with ``N = ceil(T / length)``; the last piece is padded, and the mask says where.

    Raises:
        ValueError: the length is not positive.

    >>> chunks({"token": jnp.array([[1, 2, 3]])}, 2)["token"].tolist()
    [[[1, 2]], [[3, 0]]]
    """
    if length < 1:
        raise ValueError(f"length is the number of steps of a piece and must be at least 1; got {length}")
    batch = {"mask": jnp.ones(next(iter(batch.values())).shape[:2]), **batch}
    return {name: jnp.moveaxis(_cut(leaf, length, axis=1), 1, 0) for name, leaf in batch.items()}


def _run(
    cell: Cell, reverse: bool, custom_vjp: bool, parameters: Parameters, carry: PyTree, x: Array, mask: Array | None
) -> tuple[PyTree, Array]:
    """Run over ``[T, B, D]``."""
    loop = _own_loop if custom_vjp and rule_for(cell) else _loop
    return loop(cell, reverse, parameters, carry, x, mask)


def _loop(cell, reverse, parameters, carry, x, mask):
    def step(carry, inputs):
        projected, keep = inputs
        new, y = cell.step(parameters, carry, projected)
        return _where(keep, new, carry), _where(keep, y, jnp.zeros_like(y))

    return jax.lax.scan(step, carry, (cell.project(parameters, x), mask), reverse=reverse)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _own_loop(cell, reverse, parameters, carry, x, mask):
    return _own_forward(cell, reverse, parameters, carry, x, mask)[0]


def _own_forward(cell, reverse, parameters, carry, x, mask):
    rule = rule_for(cell)
    projected, weights = rule.prepare(cell, parameters, x)

    def step(carry, inputs):
        projected, keep = inputs
        new, y, kept = rule.forward(cell, weights, carry, projected)
        return _where(keep, new, carry), (_where(keep, y, jnp.zeros_like(y)), kept)

    carry, (y, kept) = jax.lax.scan(
        step, carry, (projected, mask), reverse=reverse, unroll=1 + (cell.hidden_size >= WIDE)
    )
    return (carry, y), (parameters, x, kept, mask)


def _own_backward(cell, reverse, residuals, gradients):
    parameters, x, kept, mask = residuals
    d_carry, d_y = gradients
    rule = rule_for(cell)
    factors = rule.factors(cell, kept)
    U_T = parameters["recurrent_kernel"].T  # once: turned in every step it costs a CPU a sixth of the loop

    def step(d_carry, inputs):
        d_y, factors, keep = inputs
        d_before, deltas = rule.backward(cell, U_T, d_carry, d_y, factors)
        return _where(keep, d_before, d_carry), _where(keep, deltas, jax.tree.map(jnp.zeros_like, deltas))

    d_carry, deltas = jax.lax.scan(step, d_carry, (d_y, factors, mask), reverse=not reverse)
    d_parameters, d_x = rule.finish(cell, parameters, x, factors, deltas)
    return d_parameters, d_carry, d_x, None


_own_loop.defvjp(_own_forward, _own_backward)


def _in_chunks(run: Run, length: int, reverse: bool, between: Callable[[PyTree], PyTree] = lambda carry: carry) -> Run:
    """Turn a run over ``[T, B, D]`` into a scan of runs over ``length`` steps each, the last one padded."""

    def chunked(parameters, carry, x, mask):
        steps = x.shape[0]
        if mask is None and steps % length:
            mask = jnp.ones(x.shape[:2], bool)
        pieces = jax.tree.map(partial(_cut, length=length), (x, mask))
        carry, y = jax.lax.scan(
            lambda carry, piece: run(parameters, between(carry), *piece), carry, pieces, reverse=reverse
        )
        return carry, y.reshape(-1, *y.shape[2:])[:steps]

    return chunked


def _cut(x: Array, length: int, axis: int = 0) -> Array:
    """Cut one dimension into pieces of ``length``, filled up with zeros."""
    x = jnp.asarray(x)
    count = -(-x.shape[axis] // length)
    widths = [(0, count * length - x.shape[axis] if dimension == axis else 0) for dimension in range(x.ndim)]
    return jnp.pad(x, widths).reshape(*x.shape[:axis], count, length, *x.shape[axis + 1 :])


def _where(keep: Array | None, new: PyTree, old: PyTree) -> PyTree:
    """Choose by example, ``keep`` being ``[B]`` and the leaves ``[B, H]``; without a mask all is new."""
    if keep is None:
        return new
    return jax.tree.map(lambda a, b: jnp.where(keep[:, None], a, b), new, old)
