"""Looking inside a network, as functions of functions: any JAX function of arrays will do.

Intermediates   `names`, `read`, `replace`: the arrays within a function, by name
Gradient flow   `gradient_flow`: norms of Jacobians through time and depth
"""

from jaxdl.interpret import gradient_flow
from jaxdl.interpret.intermediates import names, read, replace

__all__ = [
    "gradient_flow",
    "names",
    "read",
    "replace",
]
