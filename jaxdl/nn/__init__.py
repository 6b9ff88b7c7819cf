"""Building blocks: plain functions for the mathematics, modules for what has parameters."""

from jaxdl.nn import (
    attention,
    attention_cache,
    attention_scores,
    cells,
    convolution,
    filters,
    initializers,
    linear,
    pooling,
    position,
    recurrent,
    transposed_convolution,
    upsampling,
    windows,
)
from jaxdl.nn.adaptive_pooling import adaptive_average_pool
from jaxdl.nn.attention import MultiHeadAttention
from jaxdl.nn.convolution import Conv, convolve
from jaxdl.nn.pooling import (
    average_pool,
    blind_unpool,
    global_average_pool,
    global_max_pool,
    max_pool,
    max_pool_with_switches,
    max_unpool,
    min_pool,
)
from jaxdl.nn.separable import SeparableConv
from jaxdl.nn.transposed_convolution import ConvTranspose, transposed_convolve, transposed_output_size
from jaxdl.nn.upsampling import upsample_bilinear, upsample_nearest
from jaxdl.nn.windows import output_size, receptive_field

__all__ = [
    "Conv",
    "ConvTranspose",
    "MultiHeadAttention",
    "SeparableConv",
    "adaptive_average_pool",
    "attention",
    "attention_cache",
    "attention_scores",
    "average_pool",
    "blind_unpool",
    "cells",
    "convolution",
    "convolve",
    "filters",
    "global_average_pool",
    "global_max_pool",
    "initializers",
    "linear",
    "max_pool",
    "max_pool_with_switches",
    "max_unpool",
    "min_pool",
    "output_size",
    "pooling",
    "position",
    "receptive_field",
    "recurrent",
    "transposed_convolution",
    "transposed_convolve",
    "transposed_output_size",
    "upsample_bilinear",
    "upsample_nearest",
    "upsampling",
    "windows",
]
