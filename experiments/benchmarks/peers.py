"""Peers whose import needs preparation."""

from functools import cache
from types import ModuleType
from typing import Any


def torchvision() -> ModuleType:
    """Import torchvision, with definitions of its compiled operators if they are missing."""
    _operators()
    import torchvision

    return torchvision


def transformers() -> ModuleType:
    """Import transformers, whose models import torchvision if it is installed."""
    _operators()
    import transformers

    return transformers


@cache
def _operators() -> Any:
    """Define torchvision's operators, for the lifetime of the returned object."""
    import torch

    if hasattr(torch.ops.torchvision, "nms"):
        return None
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library
