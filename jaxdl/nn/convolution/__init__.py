"""Convolution and pooling: forms, geometry, transposes, upsampling, fixed filters."""

from jaxdl.nn.convolution import filters
from jaxdl.nn.convolution.adaptive_pooling import adaptive_average_pool
from jaxdl.nn.convolution.convolution import Conv, ConvLayer, convolve
from jaxdl.nn.convolution.geometry import Window, make_window, output_size, receptive_field
from jaxdl.nn.convolution.pooling import (
    average_pool,
    blind_unpool,
    global_average_pool,
    global_max_pool,
    max_pool,
    max_pool_with_switches,
    max_unpool,
    min_pool,
)
from jaxdl.nn.convolution.separable import SeparableConv
from jaxdl.nn.convolution.transposed import ConvTranspose, transposed_convolve, transposed_output_size
from jaxdl.nn.convolution.upsampling import upsample_bilinear, upsample_nearest

__all__ = [
    "Conv",
    "ConvLayer",
    "ConvTranspose",
    "SeparableConv",
    "Window",
    "adaptive_average_pool",
    "average_pool",
    "blind_unpool",
    "convolve",
    "filters",
    "global_average_pool",
    "global_max_pool",
    "make_window",
    "max_pool",
    "max_pool_with_switches",
    "max_unpool",
    "min_pool",
    "output_size",
    "receptive_field",
    "transposed_convolve",
    "transposed_output_size",
    "upsample_bilinear",
    "upsample_nearest",
]
