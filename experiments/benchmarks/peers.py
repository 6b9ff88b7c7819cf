"""The peers whose import needs preparing."""

from functools import cache
from types import ModuleType
from typing import Any


def torchvision() -> ModuleType:
    """Import torchvision; what its compiled part would define is defined if it is not there."""
    _operators()
    import torchvision

    return torchvision


def transformers() -> ModuleType:
    """Import transformers, whose models import torchvision where that is installed."""
    _operators()
    import transformers

    return transformers


@cache
def _operators() -> Any:
    """Define torchvision's operators; the definitions last as long as what is returned."""
    import torch

    if hasattr(torch.ops.torchvision, "nms"):
        return None
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library
