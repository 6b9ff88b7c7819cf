"""Training: the state, the step, the one loop, evaluation, and what happens between steps."""

from jaxdl.train import ensemble, weights
from jaxdl.train.checkpoint import Checkpoints, SaveEvery
from jaxdl.train.evaluate import make_evaluation
from jaxdl.train.fit import Report, Scanned, Single, count_steps, fit
from jaxdl.train.guard import NonfiniteError, StopAtNonfinite, skip_nonfinite
from jaxdl.train.hooks import EarlyStopping, MetricsFile, ProgressBar
from jaxdl.train.integrity import DamagedError
from jaxdl.train.interrupt import interruptible
from jaxdl.train.state import TrainState
from jaxdl.train.step import Step, make_step

__all__ = [
    "Checkpoints",
    "DamagedError",
    "EarlyStopping",
    "MetricsFile",
    "NonfiniteError",
    "ProgressBar",
    "Report",
    "SaveEvery",
    "Scanned",
    "Single",
    "Step",
    "StopAtNonfinite",
    "TrainState",
    "count_steps",
    "ensemble",
    "fit",
    "interruptible",
    "make_evaluation",
    "make_step",
    "skip_nonfinite",
    "weights",
]
