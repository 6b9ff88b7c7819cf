"""Tasks: a model, its loss and its metrics on a batch, as the pure functions of a `Task`.

- `supervised`: `classification` of images and other single inputs.
- `sequences`: `sequence_classification`, and `tagging` of every step.
- `language`: `language_model`; `Perplexity` is its metric.
- `seq2seq`: `translation`; `shift_right` and `target_mask` of its targets.
- `objects`: `detection` of objects, `instance_segmentation`, their masks too; `DetectionLosses`, `detection_losses`
  and `mask_loss`, which they minimize.
- `dense`: `segmentation` of every pixel, with `fit_labels` and `measure_pixels`; `predict_tiles` for large images.
- `ambiguity`: `probabilistic_segmentation`, a distribution of segmentations.
- `generation`: `autoregressive_pixels`, `normalizing_flow`, `denoising_diffusion`.
- `task`: `Task`, and the parts of new tasks: `init_model`, `apply_in_training`, `apply_in_evaluation`, `CountedLoss`,
  `check_names`, `masked_labels`.
"""

from jaxdl.tasks.ambiguity import probabilistic_segmentation
from jaxdl.tasks.dense import fit_labels, measure_pixels, predict_tiles, segmentation
from jaxdl.tasks.generation import autoregressive_pixels, denoising_diffusion, normalizing_flow
from jaxdl.tasks.language import Perplexity, language_model
from jaxdl.tasks.objects import DetectionLosses, detection, detection_losses, instance_segmentation, mask_loss
from jaxdl.tasks.seq2seq import shift_right, target_mask, translation
from jaxdl.tasks.sequences import sequence_classification, tagging
from jaxdl.tasks.supervised import classification
from jaxdl.tasks.task import (
    CountedLoss,
    Task,
    apply_in_evaluation,
    apply_in_training,
    check_names,
    init_model,
    masked_labels,
)

__all__ = [
    "CountedLoss",
    "DetectionLosses",
    "Perplexity",
    "Task",
    "apply_in_evaluation",
    "apply_in_training",
    "autoregressive_pixels",
    "check_names",
    "classification",
    "denoising_diffusion",
    "detection",
    "detection_losses",
    "fit_labels",
    "init_model",
    "instance_segmentation",
    "language_model",
    "mask_loss",
    "masked_labels",
    "measure_pixels",
    "normalizing_flow",
    "predict_tiles",
    "probabilistic_segmentation",
    "segmentation",
    "sequence_classification",
    "shift_right",
    "tagging",
    "target_mask",
    "translation",
]
