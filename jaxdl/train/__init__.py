"""Training: the state, the step, the loop, evaluation, hooks, checkpoints and many devices.

- ``state``, ``step``, ``gradient``: the state of a run, the ordinary training step, the gradient of a mean.
- ``players``: steps of several players, such as a generator and a discriminator.
- ``loop``: ``fit``, which runs any step over a loader's batches; ``report``: what it passes to its hooks.
- ``hooks``, ``guard``: early stopping, the best state, progress, logs, checkpoints; NaN and infinity.
- ``evaluate``: the metrics of a model on a data set. ``ensemble``: many members at once.
- ``checkpointing``: checkpoints, weights in files, interruption.
- ``parallel``: meshes, sharding, several processes.
- ``leaves``: forms and digests of the leaves of a state.
"""

from jaxdl.train import checkpointing, ensemble, leaves, parallel
from jaxdl.train.checkpointing import Checkpoints, DamagedError, Interruption, interruptible, weights
from jaxdl.train.evaluate import Measure, make_evaluation
from jaxdl.train.gradient import (
    Count,
    count_examples,
    count_rows,
    from_additive,
    is_geometric,
    mean_gradient,
    to_additive,
)
from jaxdl.train.guard import NonfiniteError, StopAtNonfinite, check_finite, nonfinite_leaves, skip_nonfinite
from jaxdl.train.hooks import EarlyStopping, MetricsFile, OnFirstProcess, ProgressBar, SaveEvery
from jaxdl.train.loop import Programs, Scanned, Single, chunks, count_steps, fit
from jaxdl.train.players import combine_optimizers, make_alternating_step, make_simultaneous_step
from jaxdl.train.report import STOP, Hook, InMemoryLoader, Loader, Report, Stop, call_finish, call_hook, summarise
from jaxdl.train.state import TrainState, check_optimizer
from jaxdl.train.step import Loss, Metrics, Step, accumulate_gradient, cut_batch, make_step, separate_params

__all__ = [
    "STOP",
    "Checkpoints",
    "Count",
    "DamagedError",
    "EarlyStopping",
    "Hook",
    "InMemoryLoader",
    "Interruption",
    "Loader",
    "Loss",
    "Measure",
    "Metrics",
    "MetricsFile",
    "NonfiniteError",
    "OnFirstProcess",
    "Programs",
    "ProgressBar",
    "Report",
    "SaveEvery",
    "Scanned",
    "Single",
    "Step",
    "Stop",
    "StopAtNonfinite",
    "TrainState",
    "accumulate_gradient",
    "call_finish",
    "call_hook",
    "check_finite",
    "check_optimizer",
    "checkpointing",
    "chunks",
    "combine_optimizers",
    "count_examples",
    "count_rows",
    "count_steps",
    "cut_batch",
    "ensemble",
    "fit",
    "from_additive",
    "interruptible",
    "is_geometric",
    "leaves",
    "make_alternating_step",
    "make_evaluation",
    "make_simultaneous_step",
    "make_step",
    "mean_gradient",
    "nonfinite_leaves",
    "parallel",
    "separate_params",
    "skip_nonfinite",
    "summarise",
    "to_additive",
    "weights",
]
