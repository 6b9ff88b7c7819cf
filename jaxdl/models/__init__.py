"""Architectures, one family a file, and their registry."""

from jaxdl.models.lenet import LeNet5, LeNet5Original
from jaxdl.models.mlp import MLP
from jaxdl.models.registry import create, input_shape, list, register

__all__ = ["MLP", "LeNet5", "LeNet5Original", "create", "input_shape", "list", "register"]
