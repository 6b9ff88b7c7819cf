"""Looking inside a network: gradient flow."""

from jaxdl.interpret import gradient_flow

__all__ = [
    "gradient_flow",
]
