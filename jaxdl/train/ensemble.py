"""Ensembles: joint training of k members, bagging, and averages of predictions and of parameters.

The members are one state whose leaves have a leading dimension ``[k]``, and their step is a `jax.vmap` of the ordinary
one, so `train.fit` trains all of them together:

    states = jax.vmap(create)(jax.random.split(key, k))
    step = jax.vmap(train.make_step(task.loss, optimizer), in_axes=(0, None))
    states, history = train.fit(step, states, loader, epochs=10)
    results = train.make_evaluation(jax.vmap(task.measure, in_axes=(0, None)), arrays)(states.variables)
    logits = jax.vmap(lambda variables: model.apply(variables, x, train=False))(states.variables)
    log_probabilities = average_predictions(logits)

Members that differ in a number, such as their learning rate, are a sweep: `over_settings`.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from einops import rearrange

from jaxdl import tree
from jaxdl.arrays import widen
from jaxdl.checks import check_one_of, check_positive_integer
from jaxdl.train.report import Report
from jaxdl.train.step import Metrics, Step, prepare
from jaxdl.typing import Array, ArrayLike, Batch, Key, PyTree

AVERAGES = ("arithmetic", "geometric")


def bootstrap(key: Key, members: int, size: int) -> Array:
    """Sample ``size`` of ``size`` examples with replacement for each member, ``[members, size]`` (Breiman, 1996).

    An example is left out with probability ``(1 - 1 / size)^size``, about 0.37.

    >>> samples = bootstrap(jax.random.key(0), members=3, size=5)
    >>> samples.shape, bool((samples < 5).all())
    ((3, 5), True)
    """
    check_positive_integer("members", members)
    check_positive_integer("size", size)
    return jax.random.randint(key, (members, size), 0, size)


def on_samples(step: Step, arrays: Mapping[str, ArrayLike], samples: Array) -> Step:
    """Make one step for ``k`` members, each with its own sample of the examples: bagging.

    The loader's batches are positions in the samples, ``{"index": np.arange(n)}``; member ``i`` learns from the
    examples ``arrays[name][samples[i][index]]``. All samples have one size ``n``.

    Args:
        step: the step of one member.
        arrays: the examples, ``[N, ...]``; they stay on the device.
        samples: indices of examples, ``[k, n]``, from `bootstrap`.

    Raises:
        ValueError: the samples are not two-dimensional, or, when the step is called, a batch has no array "index".

    >>> def step(state, batch):
    ...     return state + jnp.sum(batch["x"]), {}
    >>> bagged = on_samples(step, {"x": jnp.array([1.0, 10.0, 100.0])}, jnp.array([[0, 0, 2], [1, 1, 1]]))
    >>> bagged(jnp.zeros(2), {"index": jnp.array([0, 2])})[0].tolist()
    [101.0, 20.0]
    """
    samples = jnp.asarray(samples)
    if samples.ndim != 2:
        raise ValueError(f"expected samples [k, n], one row for each member, got an array of shape {samples.shape}")
    on_device = jax.device_put(dict(arrays))

    def member_step(state: PyTree, sample: Array, batch: Batch) -> tuple[PyTree, Metrics]:
        rest = {name: array for name, array in batch.items() if name != "index"}
        return step(state, {**tree.take(on_device, sample[batch["index"]]), **rest})

    def bagged_step(states: PyTree, batch: Batch) -> tuple[PyTree, Metrics]:
        if "index" not in batch:
            raise ValueError(f"expected batches with an array 'index', got {sorted(batch)}; load np.arange(n) as it")
        return jax.vmap(member_step, in_axes=(0, 0, None))(states, samples, batch)

    return bagged_step


def over_settings(make: Callable[[PyTree], Step], settings: PyTree) -> Step:
    """Make one step for ``k`` members, each with settings of its own: a sweep as one program.

    Member ``i`` learns by the step ``make(settings_i)``, from the same batches as all others, so that each becomes what
    it would be alone. States are stacked, see `repeat`; the functions of ``jaxdl.optim`` take traced numbers.

    Args:
        make: makes the step of one member from its settings, which are traced: numbers, no sizes and no names.
        settings: an array ``[k]``, or a tree of such arrays.

    Raises:
        ValueError: the settings differ in their length.

    >>> def make(rate):
    ...     return lambda state, batch: (state - rate * batch, {})
    >>> over_settings(make, jnp.array([0.5, 2.0]))(jnp.zeros(2), jnp.float32(1))[0].tolist()
    [-0.5, -2.0]
    """
    settings = jax.tree.map(jnp.asarray, settings)
    lengths = {leaf.shape[0] if leaf.ndim else None for leaf in jax.tree.leaves(settings)}
    if len(lengths) != 1 or None in lengths:
        raise ValueError(f"expected settings [k] of one length, got {jax.tree.map(jnp.shape, settings)}")

    def step(states: PyTree, batch: Batch) -> tuple[PyTree, Metrics]:
        return jax.vmap(lambda setting, state: make(setting)(state, batch))(settings, states)

    step.prepare = lambda states: prepare(make(tree.take(settings, 0)), states)  # pyright: ignore
    return step


def repeat(state: PyTree, members: int) -> PyTree:
    """Stack ``k`` copies of a state, ``[k, ...]``, for members that start from the same point.

    Raises:
        ValueError: ``members`` is below one.

    >>> repeat({"w": jnp.ones(2)}, 3)["w"].shape
    (3, 2)
    """
    check_positive_integer("members", members)
    return tree.stack([state] * members)


def average_predictions(logits: ArrayLike, average: str = "arithmetic") -> Array:
    """Average the members' predictions, and return log-probabilities.

    With ``p_i = softmax(logits_i)``: "arithmetic" is ``1/k sum_i p_i``, "geometric" is ``(prod_i p_i)^(1/k)``
    divided by its sum over the classes, which is the softmax of the mean logits.

    Args:
        logits: ``[k, ..., K]``, the members first; log-probabilities are logits too.
        average: "arithmetic" or "geometric".

    Returns:
        ``ln p``, ``[..., K]``, in at least float32.

    Raises:
        ValueError: the average is unknown.

    >>> logits = jnp.log(jnp.array([[0.5, 0.5], [0.9, 0.1]]))
    >>> [jnp.exp(average_predictions(logits, how)).round(3).tolist() for how in AVERAGES]
    [[0.7..., 0.3...], [0.75..., 0.25]]
    """
    check_one_of("average", average, AVERAGES)
    log_p = jax.nn.log_softmax(widen(logits), axis=-1)
    if average == "arithmetic":
        return jax.nn.logsumexp(log_p, axis=0) - jnp.log(log_p.shape[0])
    return jax.nn.log_softmax(jnp.mean(log_p, axis=0), axis=-1)


def average_parameters(members: PyTree) -> PyTree:
    """Return the mean of the members' parameters, leaf by leaf, ``[k, ...]`` to ``[...]``.

    The mean is a useful model if the members lie in one basin of the loss, as the states along one run do; members
    from different initializations do not. `optim.averaging` averages along a run while it trains.
    """

    def mean(leaf: Array) -> Array:
        return jnp.mean(leaf, axis=0, dtype=jnp.promote_types(leaf.dtype, jnp.float32)).astype(leaf.dtype)

    return jax.tree.map(mean, members)


class Snapshots:
    """Keep the variables at the end of every ``epochs`` epochs: an ensemble at the cost of one run.

    With `schedules.cosine_restarts` of period ``epochs`` these are the minima at the ends of the cycles.

    Attributes:
        variables: the snapshots in order; ``tree.stack(variables)`` is the ensemble, ``[k, ...]``.

    Source: Huang et al., "Snapshot ensembles: train 1, get M for free", 2017.
    """

    def __init__(self, epochs: int):
        check_positive_integer("epochs", epochs)
        self.epochs = epochs
        self.variables: list[PyTree] = []

    def __call__(self, report: Report) -> None:
        """Keep the variables at the end of an interval."""
        if report.epoch % self.epochs == 0:
            self.variables.append(jax.tree.map(jnp.copy, report.state.variables))


def squared_error_of_average(variance: ArrayLike, covariance: ArrayLike, members: int) -> ArrayLike:
    """Return ``V / k + (k - 1) / k C``: the expected squared error of the average of ``k`` members.

    ``V = E[e_i^2]`` is the squared error of one member, ``C = E[e_i e_j]`` the covariance of two. The result is
    ``V / k`` for uncorrelated errors, and ``V``, no better than one member, for equal errors.

    >>> [squared_error_of_average(1.0, c, members=4) for c in (0.0, 0.5, 1.0)]
    [0.25, 0.625, 1.0]
    """
    return variance / members + (members - 1) / members * covariance


def error_moments(errors: ArrayLike) -> tuple[Array, Array]:
    """Estimate ``V`` and ``C`` of `squared_error_of_average` from the members and all pairs of them.

    Args:
        errors: ``e``, ``[k, ...]`` with at least two members: prediction minus target.

    Returns:
        ``V = mean_i mean e_i^2`` and ``C = mean_(i != j) mean e_i e_j``.

    Raises:
        ValueError: there are fewer than two members.
    """
    errors = jnp.asarray(errors)
    k = errors.shape[0] if errors.ndim else 0
    if k < 2:
        raise ValueError(f"expected errors [k, ...] of at least two members, got shape {errors.shape}")
    flat = rearrange(errors, "k ... -> k (...)")
    products = flat @ flat.T / flat.shape[1]
    trace = jnp.trace(products)
    return trace / k, (jnp.sum(products) - trace) / (k * (k - 1))
