"""Building blocks of networks: plain functions for the mathematics, linen modules for the parameters.

Linear maps and activations
    `linear`; `identity`, `step`, `sigmoid`, `tanh`, `scaled_tanh`, `relu`, `leaky_relu`, `prelu`, `elu`, `maxout`,
    `gelu`, `stochastic_gelu`, `swish`, `silu`, `softplus`, `softmax`; by name `get_activation`; with parameters
    `PReLU`, `Swish`. Namespace: ``activations``.

Normalization
    `batch_norm`, `layer_norm`, `instance_norm`, `group_norm`, `rms_norm`, `local_response_norm`; with parameters
    `BatchNorm`, `LayerNorm`, `InstanceNorm`, `GroupNorm`, `RMSNorm`; `row_mask` and `running_momentum` for those of a
    whole model; `moments`, `Moments`, `normalize`, `update_running`. Of kernels: `spectral_normalize`, with parameters
    `SpectralNorm`.

Noise
    `dropout`, `gaussian_noise`; as modules `Dropout`, `GaussianNoise`.

Convolution
    `convolve`, `transposed_convolve`; with parameters `Conv`, `ConvTranspose`, `SeparableConv`, the base class
    `ConvLayer`; `output_size`, `transposed_output_size`, `receptive_field`, `Window`, `make_window`. Fixed filters for
    images: namespace ``filters``.

Pooling and upsampling
    `max_pool`, `min_pool`, `average_pool`, `adaptive_average_pool`, `global_max_pool`, `global_average_pool`,
    `max_pool_with_switches`, `max_unpool`, `blind_unpool`, `upsample_nearest`, `upsample_bilinear`.

Recurrent networks
    Cells: `Vanilla`, `Jordan`, `LSTM`, `ConstantForgetLSTM`, `PeepholeLSTM`, `FourGateLSTM`, `GRU`, `AttentionCell`,
    the base class `Cell`, the states `LSTMState`, `JordanState` and `Attended`; `init_cell`, `preactivations`.
    Namespace: ``cells``. Over time: `scan`, `bidirectional_scan`, `stacked_scan`, `init_stacked`, `valid_steps`,
    `split_time`; with parameters `RNN`, `RecurrentCell`, `CellParameters`.

Attention
    `dot_product_attention`, `attend`, `scaled_dot_product`; modules: `MultiHeadAttention`, `GroupedQueryAttention` (and
    its `split_heads`), `Attention`, `ScoreParameters`; masks: `causal_mask`, `padding_mask`, `combine_masks`,
    `clear_hidden`; learned scores: `additive_scores`, `tanh_scores`, `dot_scores`, `general_scores`, `concat_scores`,
    `Score`, `AdditiveScore`, `DotScore`, `GeneralScore`, `ConcatScore`, `init_score`; local attention: `local_mask`,
    `gaussian_window`, `predict_centers`; coverage: `attention_penalty`; key-value cache: `Cache`, `init_cache`,
    `extend_cache`; positions: `sinusoidal_positions`, `rotary_embedding`.

Conditional random fields
    `Chain`, with `crf_score`, `crf_log_partition`, `crf_log_likelihood`, `crf_marginals`, and `viterbi`.

Boxes
    `box_area`, `box_iou`, `generalized_box_iou`: overlaps; `non_maximum_suppression` with its `Selection`, and
    `class_offsets` for one suppression per class; `roi_align`, and `pyramid_roi_align` from the level of each box's
    size; `select_masks` of their classes, `paste_masks`.

Detection without anchors
    `level_sizes`, `feature_points` with their `Points`, `encode_boxes`, `decode_distances`, `centerness_targets`,
    `assign_boxes`; `DensePredictions`, and `select_detections` with the `Detections` of an image.

Initialization
    Namespace ``initializers``: ``lecun_normal``, ``he_normal``, ``xavier_uniform``, ``orthogonal`` and so on.
"""

from jaxdl.nn import activations, attention, convolution, initializers, recurrent
from jaxdl.nn.activations import (
    PReLU,
    Swish,
    elu,
    gelu,
    get_activation,
    identity,
    leaky_relu,
    maxout,
    prelu,
    relu,
    scaled_tanh,
    sigmoid,
    silu,
    softmax,
    softplus,
    step,
    stochastic_gelu,
    swish,
    tanh,
)
from jaxdl.nn.anchor_free import (
    Points,
    assign_boxes,
    centerness_targets,
    decode_distances,
    encode_boxes,
    feature_points,
    level_sizes,
)
from jaxdl.nn.attention import (
    AdditiveScore,
    Attention,
    Cache,
    ConcatScore,
    DotScore,
    GeneralScore,
    GroupedQueryAttention,
    MultiHeadAttention,
    Score,
    ScoreParameters,
    additive_scores,
    attend,
    attention_penalty,
    causal_mask,
    clear_hidden,
    combine_masks,
    concat_scores,
    dot_product_attention,
    dot_scores,
    extend_cache,
    gaussian_window,
    general_scores,
    init_cache,
    init_score,
    local_mask,
    padding_mask,
    predict_centers,
    rotary_embedding,
    scaled_dot_product,
    sinusoidal_positions,
    split_heads,
    tanh_scores,
)
from jaxdl.nn.boxes import (
    Selection,
    box_area,
    box_iou,
    class_offsets,
    generalized_box_iou,
    non_maximum_suppression,
    roi_align,
)
from jaxdl.nn.convolution import (
    Conv,
    ConvLayer,
    ConvTranspose,
    SeparableConv,
    Window,
    adaptive_average_pool,
    average_pool,
    blind_unpool,
    convolve,
    filters,
    global_average_pool,
    global_max_pool,
    make_window,
    max_pool,
    max_pool_with_switches,
    max_unpool,
    min_pool,
    output_size,
    receptive_field,
    transposed_convolve,
    transposed_output_size,
    upsample_bilinear,
    upsample_nearest,
)
from jaxdl.nn.crf import Chain, crf_log_likelihood, crf_log_partition, crf_marginals, crf_score, viterbi
from jaxdl.nn.dense import linear
from jaxdl.nn.detections import DensePredictions, Detections, select_detections
from jaxdl.nn.masks import paste_masks, pyramid_roi_align, select_masks
from jaxdl.nn.noise import Dropout, GaussianNoise, dropout, gaussian_noise
from jaxdl.nn.normalization import (
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    RMSNorm,
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    local_response_norm,
    rms_norm,
    row_mask,
    running_momentum,
)
from jaxdl.nn.recurrent import (
    GRU,
    LSTM,
    RNN,
    Attended,
    AttentionCell,
    Cell,
    CellParameters,
    ConstantForgetLSTM,
    FourGateLSTM,
    Jordan,
    JordanState,
    LSTMState,
    PeepholeLSTM,
    RecurrentCell,
    Vanilla,
    bidirectional_scan,
    cells,
    init_cell,
    init_stacked,
    preactivations,
    scan,
    split_time,
    stacked_scan,
    valid_steps,
)
from jaxdl.nn.spectral import SpectralNorm, spectral_normalize
from jaxdl.nn.statistics import Moments, moments, normalize, update_running

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AdditiveScore",
    "Attended",
    "Attention",
    "AttentionCell",
    "BatchNorm",
    "Cache",
    "Cell",
    "CellParameters",
    "Chain",
    "ConcatScore",
    "ConstantForgetLSTM",
    "Conv",
    "ConvLayer",
    "ConvTranspose",
    "DensePredictions",
    "Detections",
    "DotScore",
    "Dropout",
    "FourGateLSTM",
    "GaussianNoise",
    "GeneralScore",
    "GroupNorm",
    "GroupedQueryAttention",
    "InstanceNorm",
    "Jordan",
    "JordanState",
    "LSTMState",
    "LayerNorm",
    "Moments",
    "MultiHeadAttention",
    "PReLU",
    "PeepholeLSTM",
    "Points",
    "RMSNorm",
    "RecurrentCell",
    "Score",
    "ScoreParameters",
    "Selection",
    "SeparableConv",
    "SpectralNorm",
    "Swish",
    "Vanilla",
    "Window",
    "activations",
    "adaptive_average_pool",
    "additive_scores",
    "assign_boxes",
    "attend",
    "attention",
    "attention_penalty",
    "average_pool",
    "batch_norm",
    "bidirectional_scan",
    "blind_unpool",
    "box_area",
    "box_iou",
    "causal_mask",
    "cells",
    "centerness_targets",
    "class_offsets",
    "clear_hidden",
    "combine_masks",
    "concat_scores",
    "convolution",
    "convolve",
    "crf_log_likelihood",
    "crf_log_partition",
    "crf_marginals",
    "crf_score",
    "decode_distances",
    "dot_product_attention",
    "dot_scores",
    "dropout",
    "elu",
    "encode_boxes",
    "extend_cache",
    "feature_points",
    "filters",
    "gaussian_noise",
    "gaussian_window",
    "gelu",
    "general_scores",
    "generalized_box_iou",
    "get_activation",
    "global_average_pool",
    "global_max_pool",
    "group_norm",
    "identity",
    "init_cache",
    "init_cell",
    "init_score",
    "init_stacked",
    "initializers",
    "instance_norm",
    "layer_norm",
    "leaky_relu",
    "level_sizes",
    "linear",
    "local_mask",
    "local_response_norm",
    "make_window",
    "max_pool",
    "max_pool_with_switches",
    "max_unpool",
    "maxout",
    "min_pool",
    "moments",
    "non_maximum_suppression",
    "normalize",
    "output_size",
    "padding_mask",
    "paste_masks",
    "preactivations",
    "predict_centers",
    "prelu",
    "pyramid_roi_align",
    "receptive_field",
    "recurrent",
    "relu",
    "rms_norm",
    "roi_align",
    "rotary_embedding",
    "row_mask",
    "running_momentum",
    "scaled_dot_product",
    "scaled_tanh",
    "scan",
    "select_detections",
    "select_masks",
    "sigmoid",
    "silu",
    "sinusoidal_positions",
    "softmax",
    "softplus",
    "spectral_normalize",
    "split_heads",
    "split_time",
    "stacked_scan",
    "step",
    "stochastic_gelu",
    "swish",
    "tanh",
    "tanh_scores",
    "transposed_convolve",
    "transposed_output_size",
    "update_running",
    "upsample_bilinear",
    "upsample_nearest",
    "valid_steps",
    "viterbi",
]
