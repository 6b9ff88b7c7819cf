"""Tasks: a model, its loss and its metrics on a batch, as the pure functions of a `Task`.

- `targets`: `classification` of images and other single inputs, and `supervised` learning with any loss.
- `sequences`: `sequence_classification`, and `tagging` of every step; `crf_tagging` of all steps together.
- `language`: `language_model`; `Perplexity` is its metric.
- `masked`: `masked_language_model`; `mask_tokens`, which makes `MaskedTokens`, and `token_mask` of a batch.
- `seq2seq`: `translation`; `shift_right` and `target_mask` of its targets.
- `objects`: `detection` of objects, `instance_segmentation`, their masks too; `DetectionLosses`, `detection_losses`
  and `mask_loss`, which they minimize.
- `dense`: `segmentation` of every pixel, with `fit_labels` and `measure_pixels`; `predict_tiles` for large images.
- `ambiguity`: `probabilistic_segmentation`, a distribution of segmentations.
- `reconstruction`: `autoencoding`, `variational_autoencoding`, `importance_weighted_autoencoding`,
  `categorical_autoencoding`, `quantized_autoencoding`.
- `task`: `Task`, and the parts of new tasks: `init_model`, `apply_in_training`, `apply_in_evaluation`, `CountedLoss`,
  `check_names`, `masked_inputs`, `masked_labels`.
- `adversarial`: `Game`, several models, each with a loss; `gan`; `player_variables`, `join_players`, `replace_player`
  and `other_collections`, the parts of new games.
- `image_translation`: `pix2pix` of pairs, `cycle_gan` of two sets of images.
- `generation`: `autoregressive_pixels`, `normalizing_flow`, `denoising_diffusion`, `flow_matching`, `score_matching`.
"""

from jaxdl.tasks.adversarial import Game, gan, join_players, other_collections, player_variables, replace_player
from jaxdl.tasks.ambiguity import probabilistic_segmentation
from jaxdl.tasks.dense import fit_labels, measure_pixels, predict_tiles, segmentation
from jaxdl.tasks.generation import (
    autoregressive_pixels,
    denoising_diffusion,
    flow_matching,
    normalizing_flow,
    score_matching,
)
from jaxdl.tasks.image_translation import cycle_gan, pix2pix
from jaxdl.tasks.language import Perplexity, language_model
from jaxdl.tasks.masked import MaskedTokens, mask_tokens, masked_language_model, token_mask
from jaxdl.tasks.objects import DetectionLosses, detection, detection_losses, instance_segmentation, mask_loss
from jaxdl.tasks.reconstruction import (
    autoencoding,
    categorical_autoencoding,
    importance_weighted_autoencoding,
    quantized_autoencoding,
    variational_autoencoding,
)
from jaxdl.tasks.seq2seq import shift_right, target_mask, translation
from jaxdl.tasks.sequences import crf_tagging, sequence_classification, tagging
from jaxdl.tasks.targets import classification, supervised
from jaxdl.tasks.task import (
    CountedLoss,
    Task,
    apply_in_evaluation,
    apply_in_training,
    check_names,
    init_model,
    masked_inputs,
    masked_labels,
)

__all__ = [
    "CountedLoss",
    "DetectionLosses",
    "Game",
    "MaskedTokens",
    "Perplexity",
    "Task",
    "apply_in_evaluation",
    "apply_in_training",
    "autoencoding",
    "autoregressive_pixels",
    "categorical_autoencoding",
    "check_names",
    "classification",
    "crf_tagging",
    "cycle_gan",
    "denoising_diffusion",
    "detection",
    "detection_losses",
    "fit_labels",
    "flow_matching",
    "gan",
    "importance_weighted_autoencoding",
    "init_model",
    "instance_segmentation",
    "join_players",
    "language_model",
    "mask_loss",
    "mask_tokens",
    "masked_inputs",
    "masked_labels",
    "masked_language_model",
    "measure_pixels",
    "normalizing_flow",
    "other_collections",
    "pix2pix",
    "player_variables",
    "predict_tiles",
    "probabilistic_segmentation",
    "quantized_autoencoding",
    "replace_player",
    "score_matching",
    "segmentation",
    "sequence_classification",
    "shift_right",
    "supervised",
    "tagging",
    "target_mask",
    "token_mask",
    "translation",
    "variational_autoencoding",
]
