"""Training: the state, the step, the loop, evaluation, hooks, checkpoints and many devices.

- ``state``, ``step``, ``gradient``: the state of a run, the ordinary training step, the gradient of a mean.
- ``precision``: models in 16 bits, and the scale of a loss.
- ``loop``: ``fit``, which runs any step over a loader's batches; ``report``: what it passes to its hooks.
- ``hooks``, ``guard``: early stopping, the best state, progress, logs, checkpoints; NaN and infinity.
- ``evaluate``: the metrics of a model on a data set, and its predictions. ``ensemble``: many members at once.
- ``checkpointing``: checkpoints, weights in files, interruption.
- ``parallel``: meshes, sharding, several processes.
- ``leaves``: forms and digests of the leaves of a state.
- ``players``: steps of several players, such as a generator and a discriminator.
- ``logs``: tables and TensorBoard's files.
- ``exporting``: a model as one portable program. ``statistics``: those of batch norms, for averaged weights.
"""

from jaxdl.train import checkpointing, ensemble, leaves, parallel, precision
from jaxdl.train.checkpointing import Checkpoints, DamagedError, Interruption, interruptible, weights
from jaxdl.train.evaluate import Measure, make_evaluation, predict
from jaxdl.train.exporting import export
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
from jaxdl.train.logs import CSVHook, TensorBoardHook
from jaxdl.train.loop import Programs, Scanned, Single, chunks, count_steps, fit
from jaxdl.train.players import combine_optimizers, make_alternating_step, make_simultaneous_step
from jaxdl.train.report import STOP, Hook, InMemoryLoader, Loader, Report, Stop, call_finish, call_hook, summarise
from jaxdl.train.state import LoaderLike, TaskLike, TrainState, check_optimizer, start
from jaxdl.train.statistics import recompute_statistics
from jaxdl.train.step import Loss, Metrics, Step, accumulate_gradient, cut_batch, make_step, prepare, separate_params

__all__ = [
    "STOP",
    "CSVHook",
    "Checkpoints",
    "Count",
    "DamagedError",
    "EarlyStopping",
    "Hook",
    "InMemoryLoader",
    "Interruption",
    "Loader",
    "LoaderLike",
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
    "TaskLike",
    "TensorBoardHook",
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
    "export",
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
    "precision",
    "predict",
    "prepare",
    "recompute_statistics",
    "separate_params",
    "skip_nonfinite",
    "start",
    "summarise",
    "to_additive",
    "weights",
]
