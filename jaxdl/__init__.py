"""jaxdl: the classic systems of deep learning as pure functions for JAX."""

__version__ = "0.1.0"
