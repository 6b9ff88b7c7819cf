"""Gradients written by hand beside the forward pass, one system a file; automatic differentiation is never called."""

from jaxdl.backprop import activations, batch_norm, convolution, dense, losses, pooling, recurrent

__all__ = ["activations", "batch_norm", "convolution", "dense", "losses", "pooling", "recurrent"]
