"""Ensembles: k members trained as one program, bagging, and the averages of predictions and of parameters.

The members are one state whose leaves have a leading dimension ``[k]``, and their step is a `jax.vmap` of the ordinary
one, so `train.fit` trains them as it trains one:

    states = jax.vmap(create)(jax.random.split(key, k))
    step = jax.vmap(train.make_step(task.loss, optimizer), in_axes=(0, None))
    states, history = train.fit(step, states, loader, epochs=10)
    each = train.make_evaluation(jax.vmap(task.measure, in_axes=(0, None)), arrays)(states.variables)
    logits = jax.vmap(lambda variables: model.apply(variables, x, train=False))(states.variables)
    log_probabilities = average_predictions(logits)
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from jaxdl import tree
from jaxdl.arrays import widen
from jaxdl.train.report import Report
from jaxdl.train.step import Metrics, Step
from jaxdl.typing import Array, ArrayLike, Batch, Key, PyTree

AVERAGES = ("arithmetic", "geometric")


def bootstrap(key: Key, members: int, size: int) -> Array:
    """Draw ``size`` of ``size`` examples with replacement for each member, ``[members, size]`` (Breiman, 1996).

    An example is left out with probability ``(1 - 1 / size)^size``, about 0.37.

    >>> samples = bootstrap(jax.random.key(0), members=3, size=5)
    >>> samples.shape, bool((samples < 5).all())
    ((3, 5), True)
    """
    if members < 1 or size < 1:
        raise ValueError(f"expected at least one member and one example, got {members} and {size}")
    return jax.random.randint(key, (members, size), 0, size)


def on_samples(step: Step, arrays: Mapping[str, ArrayLike], samples: Array) -> Step:
    """Make one step for ``k`` members, each of which learns from its own sample of the examples: bagging.

    The loader deals out places in the samples, ``{"index": np.arange(n)}``; member ``i`` is given the examples
    ``arrays[name][samples[i][index]]``. All samples are of one size ``n``, so the members go through them in step.

    Args:
        step: that of one member.
        arrays: the examples, ``[N, ...]``; they stay on the device.
        samples: numbers of examples, ``[k, n]``, as `bootstrap` draws them.

    Raises:
        ValueError: the samples are not two-dimensional, or a batch has no array "index".

    >>> def step(state, batch):
    ...     return state + jnp.sum(batch["x"]), {}
    >>> bagged = on_samples(step, {"x": jnp.array([1.0, 10.0, 100.0])}, jnp.array([[0, 0, 2], [1, 1, 1]]))
    >>> bagged(jnp.zeros(2), {"index": jnp.array([0, 2])})[0].tolist()
    [101.0, 20.0]
    """
    samples = jnp.asarray(samples)
    if samples.ndim != 2:
        raise ValueError(f"expected samples [k, n], one row for each member, got an array of shape {samples.shape}")
    arrays = jax.device_put(dict(arrays))

    def of_member(state: PyTree, sample: Array, batch: Batch) -> tuple[PyTree, Metrics]:
        rest = {name: array for name, array in batch.items() if name != "index"}
        return step(state, {**tree.take(arrays, sample[batch["index"]]), **rest})

    def together(states: PyTree, batch: Batch) -> tuple[PyTree, Metrics]:
        if "index" not in batch:
            raise ValueError(f'expected a loader of {{"index": np.arange(n)}}, got batches with {sorted(batch)}')
        return jax.vmap(of_member, in_axes=(0, 0, None))(states, samples, batch)

    return together


def average_predictions(logits: ArrayLike, average: str = "arithmetic") -> Array:
    """Average what the members predict, and return log-probabilities.

    With ``p_i = softmax(logits_i)``: "arithmetic" is ``1/k sum_i p_i``, "geometric" is ``(prod_i p_i)^(1/k)``
    divided by its sum over the classes, which is the softmax of the mean logits.

    Args:
        logits: ``[k, ..., K]``, those of each member; log-probabilities are logits too.
        average: "arithmetic" or "geometric".

    Returns:
        ``ln p``, ``[..., K]``, in at least float32.

    Raises:
        ValueError: the average is unknown.

    >>> logits = jnp.log(jnp.array([[0.5, 0.5], [0.9, 0.1]]))
    >>> [jnp.exp(average_predictions(logits, how)).round(3).tolist() for how in AVERAGES]
    [[0.7..., 0.3...], [0.75..., 0.25]]
    """
    if average not in AVERAGES:
        raise ValueError(f"average must be 'arithmetic' or 'geometric', got {average!r}")
    logits = jnp.asarray(logits)
    log_p = jax.nn.log_softmax(widen(logits), axis=-1)
    if average == "arithmetic":
        return jax.nn.logsumexp(log_p, axis=0) - jnp.log(log_p.shape[0])
    return jax.nn.log_softmax(jnp.mean(log_p, axis=0), axis=-1)


def average_parameters(members: PyTree) -> PyTree:
    """Return the mean of the members' parameters, leaf by leaf, ``[k, ...]`` to ``[...]``.

    It is a model of its own where the members lie in one valley, as those along one run do; members from different
    starts do not. Averages along a run that are kept as it goes are in `optim.averaging`.
    """

    def mean(leaf: Array) -> Array:
        return jnp.mean(leaf, axis=0, dtype=jnp.promote_types(leaf.dtype, jnp.float32)).astype(leaf.dtype)

    return jax.tree.map(mean, members)


class Snapshots:
    """A hook that keeps the variables at the end of every ``epochs`` epochs: an ensemble for the price of one run.

    With `schedules.cosine_restarts` whose period is ``epochs`` it keeps the minimum that each cycle ends in.

    Attributes:
        variables: those kept so far, in order; ``tree.stack(variables)`` is the ensemble, ``[k, ...]``.

    Source: Huang et al., "Snapshot ensembles: train 1, get M for free", 2017.
    """

    def __init__(self, epochs: int):
        if epochs < 1:
            raise ValueError(f"expected epochs >= 1, got {epochs}")
        self.epochs = epochs
        self.variables: list[PyTree] = []

    def __call__(self, report: Report) -> None:
        """Keep the variables where an interval ends."""
        if report.epoch % self.epochs == 0:
            self.variables.append(jax.tree.map(jnp.copy, report.state.variables))


def squared_error_of_average(variance: ArrayLike, covariance: ArrayLike, members: int) -> ArrayLike:
    """Return ``V / k + (k - 1) / k C``: the expected squared error of the average of ``k`` members.

    ``V = E[e_i^2]`` is the squared error of one, ``C = E[e_i e_j]`` that which two have in common. It is ``V / k``
    where the errors are uncorrelated, and ``V``, no better than one, where they are the same.

    >>> [squared_error_of_average(1.0, c, members=4) for c in (0.0, 0.5, 1.0)]
    [0.25, 0.625, 1.0]
    """
    return variance / members + (members - 1) / members * covariance


def error_moments(errors: ArrayLike) -> tuple[Array, Array]:
    """Measure ``V`` and ``C`` of `squared_error_of_average`, over the members and all pairs of them.

    Args:
        errors: ``e``, ``[k, ...]`` with at least two members: prediction minus target.

    Returns:
        ``V = mean_i mean e_i^2`` and ``C = mean_(i != j) mean e_i e_j``.

    Raises:
        ValueError: there is only one member.
    """
    errors = jnp.asarray(errors)
    k = errors.shape[0] if errors.ndim else 0
    if k < 2:
        raise ValueError(f"two members at least have a covariance, got errors of shape {errors.shape}")
    flat = errors.reshape(k, -1)
    products = flat @ flat.T / flat.shape[1]
    trace = jnp.trace(products)
    return trace / k, (jnp.sum(products) - trace) / (k * (k - 1))
