"""Training: the state, the step, the one loop, evaluation, and what happens between steps."""

from jaxdl.train import checkpointing, ensemble, parallel
from jaxdl.train.checkpointing import Checkpoints, DamagedError, interruptible, weights
from jaxdl.train.evaluate import make_evaluation
from jaxdl.train.gradient import count_examples, mean_gradient
from jaxdl.train.guard import NonfiniteError, StopAtNonfinite, skip_nonfinite
from jaxdl.train.hooks import EarlyStopping, MetricsFile, OnFirstProcess, ProgressBar, SaveEvery
from jaxdl.train.loop import Scanned, Single, count_steps, fit
from jaxdl.train.report import Hook, Loader, Report
from jaxdl.train.state import TrainState
from jaxdl.train.step import Step, make_step

__all__ = [
    "Checkpoints",
    "DamagedError",
    "EarlyStopping",
    "Hook",
    "Loader",
    "MetricsFile",
    "NonfiniteError",
    "OnFirstProcess",
    "ProgressBar",
    "Report",
    "SaveEvery",
    "Scanned",
    "Single",
    "Step",
    "StopAtNonfinite",
    "TrainState",
    "checkpointing",
    "count_examples",
    "count_steps",
    "ensemble",
    "fit",
    "interruptible",
    "make_evaluation",
    "make_step",
    "mean_gradient",
    "parallel",
    "skip_nonfinite",
    "weights",
]
