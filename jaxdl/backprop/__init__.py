"""Gradients written by hand beside the forward pass, one system per file, without automatic differentiation.

==============  =================================================================
`activations`   slopes of activation functions
`batch_norm`    batch and layer normalization
`convolution`   convolution
`dense`         multi-layer networks
`embeddings`    word vectors
`losses`        softmax with cross-entropy, sigmoid, squared error
`pooling`       maximum and mean
`recurrent`     vanilla networks and LSTM, through time
==============  =================================================================
"""

from jaxdl.backprop import activations, batch_norm, convolution, dense, embeddings, losses, pooling, recurrent

__all__ = ["activations", "batch_norm", "convolution", "dense", "embeddings", "losses", "pooling", "recurrent"]
