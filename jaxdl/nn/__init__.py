"""Building blocks: plain functions for the mathematics, modules for what has parameters."""

from jaxdl.nn import cells, convolution, initializers, linear, pooling, recurrent
from jaxdl.nn.convolution import Conv, convolve, output_size, receptive_field
from jaxdl.nn.pooling import average_pool, global_average_pool, global_max_pool, max_pool, min_pool

__all__ = [
    "Conv",
    "average_pool",
    "cells",
    "convolution",
    "convolve",
    "global_average_pool",
    "global_max_pool",
    "initializers",
    "linear",
    "max_pool",
    "min_pool",
    "output_size",
    "pooling",
    "receptive_field",
    "recurrent",
]
