"""jaxdl: the classic systems of deep learning as pure functions for JAX.

Every part is an attribute and is imported when it is first used: after ``import jaxdl``, ``jaxdl.nn.LayerNorm``,
``jaxdl.train.parallel.make_mesh`` and ``jaxdl.models.create`` are there, and JAX has not been started.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "arrays",
    "backprop",
    "checks",
    "compress",
    "data",
    "decode",
    "doctor",
    "embeddings",
    "generative",
    "interpret",
    "losses",
    "metrics",
    "models",
    "nn",
    "optim",
    "pretrained",
    "rl",
    "tasks",
    "train",
    "tree",
    "typing",
]

if TYPE_CHECKING:
    from jaxdl import (
        arrays,
        backprop,
        checks,
        compress,
        data,
        decode,
        doctor,
        embeddings,
        generative,
        interpret,
        losses,
        metrics,
        models,
        nn,
        optim,
        pretrained,
        rl,
        tasks,
        train,
        tree,
        typing,
    )


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"jaxdl.{name}")
    raise AttributeError(f"module 'jaxdl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
