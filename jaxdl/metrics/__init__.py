"""Metrics: pure functions with masks, which run under ``jit``.

- `predict`, `correct`, `top_k_correct`, `accuracy`, `top_k_accuracy`: of logits
- `Mean`, `mean`: means that accumulate over batches; so do `Confusion`, `running_confusion`, `MacroF1`, `running_f1`,
  `RunningAUC` and `running_auc`
- `confusion_matrix`, `Counts`, `counts`, and of a matrix `precision`, `recall`, `sensitivity`, `specificity`, `f1`,
  `dice`, `iou`
- `mean_iou`, `mean_dice`, `pixel_accuracy`; `MeanIoU`, `running_mean_iou`: of the pixels of a segmentation
- `generalized_energy_distance`: of two distributions of masks
- `RocCurve`, `roc_curve`, `auc`, `choose_threshold`; `expected_costs`, `cheapest_threshold`: of scores

Precision, recall and the like are ratios of counts in a confusion matrix: sum the matrices of the batches, and compute
the ratio once at the end. A ROC curve and its exact area need all scores at once.

A NaN is never a right prediction: a logit of NaN counts as wrong, and the ROC curve and area of a score of NaN are NaN.
"""

from jaxdl.metrics.accumulating import (
    Confusion,
    MacroF1,
    RunningAUC,
    running_auc,
    running_confusion,
    running_f1,
)
from jaxdl.metrics.classification import accuracy, correct, predict, top_k_accuracy, top_k_correct
from jaxdl.metrics.confusion import (
    AVERAGES,
    Counts,
    confusion_matrix,
    counts,
    dice,
    f1,
    iou,
    precision,
    recall,
    sensitivity,
    specificity,
)
from jaxdl.metrics.roc import RocCurve, auc, cheapest_threshold, choose_threshold, expected_costs, roc_curve
from jaxdl.metrics.running import Mean, mean
from jaxdl.metrics.segmentation import (
    MeanIoU,
    generalized_energy_distance,
    mean_dice,
    mean_iou,
    pixel_accuracy,
    running_mean_iou,
)

__all__ = [
    "AVERAGES",
    "Confusion",
    "Counts",
    "MacroF1",
    "Mean",
    "MeanIoU",
    "RocCurve",
    "RunningAUC",
    "accuracy",
    "auc",
    "cheapest_threshold",
    "choose_threshold",
    "confusion_matrix",
    "correct",
    "counts",
    "dice",
    "expected_costs",
    "f1",
    "generalized_energy_distance",
    "iou",
    "mean",
    "mean_dice",
    "mean_iou",
    "pixel_accuracy",
    "precision",
    "predict",
    "recall",
    "roc_curve",
    "running_auc",
    "running_confusion",
    "running_f1",
    "running_mean_iou",
    "sensitivity",
    "specificity",
    "top_k_accuracy",
    "top_k_correct",
]
