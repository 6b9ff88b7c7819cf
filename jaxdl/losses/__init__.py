"""Losses: pure functions of predictions and targets, with masks and three reductions.

- `mean_squared_error`, `sum_squared_error`, `mean_absolute_error`, `huber`: of values
- `cross_entropy`, `binary_cross_entropy`, `negative_log_likelihood`, `categorical_cross_entropy`: of labels
- `linear_cross_entropy`: of labels, for more classes than logits fit into memory
- `focal`, `sigmoid_focal`: of labels, most of them easy
- `dice`, `generalized_dice`, `jaccard`: of the overlap of regions
- `gaussian_kl`: of distributions
- `hinge`, `multi_class_hinge`, `margin_ranking`: of scores, zero from a margin on

The arguments of every loss are the predictions, the targets, and

- ``mask``: weights ``[...]`` over the leading dimensions, 0 to ignore an element. Ignored elements change neither the
  loss nor a gradient, even if they are NaN.
- ``reduction``: ``"mean"`` divides the weighted sum by the sum of the mask (a mask of zeros gives 0), ``"sum"`` does
  not divide, ``"none"`` returns the weighted losses.

Predictions narrower than float32 are widened first, so a loss has at least single precision. Integers and Booleans are
computed with as floating-point numbers. Errors of complex predictions are those of their moduli; the losses of labels
have no meaning for complex scores and raise a TypeError.
"""

from jaxdl.losses._shared import REDUCTIONS
from jaxdl.losses.classification import (
    binary_cross_entropy,
    categorical_cross_entropy,
    cross_entropy,
    negative_log_likelihood,
)
from jaxdl.losses.divergences import gaussian_kl
from jaxdl.losses.focusing import focal, sigmoid_focal
from jaxdl.losses.linear import linear_cross_entropy
from jaxdl.losses.margins import hinge, margin_ranking, multi_class_hinge
from jaxdl.losses.overlap import dice, generalized_dice, jaccard
from jaxdl.losses.regression import huber, mean_absolute_error, mean_squared_error, sum_squared_error

__all__ = [
    "REDUCTIONS",
    "binary_cross_entropy",
    "categorical_cross_entropy",
    "cross_entropy",
    "dice",
    "focal",
    "gaussian_kl",
    "generalized_dice",
    "hinge",
    "huber",
    "jaccard",
    "linear_cross_entropy",
    "margin_ranking",
    "mean_absolute_error",
    "mean_squared_error",
    "multi_class_hinge",
    "negative_log_likelihood",
    "sigmoid_focal",
    "sum_squared_error",
]
