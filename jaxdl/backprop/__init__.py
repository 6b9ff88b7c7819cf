"""Gradients written by hand beside the forward pass, one system a file; automatic differentiation is never called."""

from jaxdl.backprop import activations, batch_norm, convolution, dense, pooling, recurrent, softmax_cross_entropy

__all__ = ["activations", "batch_norm", "convolution", "dense", "pooling", "recurrent", "softmax_cross_entropy"]
