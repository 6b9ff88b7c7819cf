"""Running statistics of batch norms for weights that no step has used, such as averages."""

import jax

from jaxdl.checks import check_positive_integer
from jaxdl.nn.normalization import running_momentum
from jaxdl.train.leaves import check_alive
from jaxdl.train.report import Loader
from jaxdl.train.step import Loss
from jaxdl.typing import Array, Batch, Key, PyTree

STATISTICS = "batch_stats"


def recompute_statistics(
    loss: Loss, variables: dict[str, PyTree], loader: Loader, key: Key, *, steps: int | None = None
) -> dict[str, PyTree]:
    """Recompute the running moments of all batch norms: the mean of the moments of the batches, each with one weight.

    The moments of a run belong to the parameters of its last steps. An average of parameters needs its own, as
    stochastic weight averaging does (Izmailov et al., 2018):

        variables = train.recompute_statistics(task.loss, state.averaged, loader, state.key)

    Args:
        loss: of a task; it runs the model in training mode.
        variables: collections by name, ``"batch_stats"`` among them.
        loader: the training data.
        key: for random layers and augmentation; batch ``n`` gets ``fold_in(key, n)``.
        steps: number of batches, by default an epoch.

    Returns:
        The variables with other statistics; without batch norms, the variables.

    Raises:
        ValueError: ``steps`` is below one, or missing for a loader without a length.
    """
    check_alive(variables)
    if STATISTICS not in variables:
        return variables
    steps = loader.steps_per_epoch if steps is None else steps
    if steps is None:
        raise ValueError("expected steps=... for a loader without a length, got None")
    check_positive_integer("steps", steps)

    @jax.jit
    def update(variables: dict[str, PyTree], batch: Batch, number: Array) -> PyTree:
        with running_momentum(number / (number + 1)):
            output = loss(variables, batch, jax.random.fold_in(key, number))
        return output[1][0][STATISTICS]

    for number in range(steps):
        variables = {**variables, STATISTICS: update(variables, loader.batch(number), jax.numpy.asarray(number))}
    return variables
