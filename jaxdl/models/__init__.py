"""Architectures, one family a file, and their registry."""

from jaxdl.models.lenet import LeNet5, LeNet5Original
from jaxdl.models.mlp import MLP
from jaxdl.models.registry import create, list, register

__all__ = ["MLP", "LeNet5", "LeNet5Original", "create", "list", "register"]
