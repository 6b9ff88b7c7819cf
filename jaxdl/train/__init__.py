"""Training: the state, the step, the one loop, evaluation, and what happens between steps."""

from jaxdl.train.evaluate import make_evaluation
from jaxdl.train.fit import Report, fit
from jaxdl.train.hooks import EarlyStopping, MetricsFile, ProgressBar
from jaxdl.train.state import TrainState
from jaxdl.train.step import make_step

__all__ = [
    "EarlyStopping",
    "MetricsFile",
    "ProgressBar",
    "Report",
    "TrainState",
    "fit",
    "make_evaluation",
    "make_step",
]
