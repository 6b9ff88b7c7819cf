"""The peers of the models, imported where a test needs them; torchvision and timm do without their compiled part."""

import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest


def torch() -> ModuleType:
    """Import torch, or skip the test."""
    return pytest.importorskip("torch", reason="parity with torch")


def torchvision() -> ModuleType:
    """Import torchvision, or skip the test."""
    _operators()
    return _import("torchvision")


def timm() -> ModuleType:
    """Import timm, or skip the test."""
    _operators()
    _import("torchvision")
    return _import("timm")


def transformers() -> ModuleType:
    """Import transformers, or skip the test; its models import torchvision where that is installed."""
    _operators()
    return _import("transformers")


def rlax() -> ModuleType:
    """Import rlax, or skip the test."""
    return _import("rlax")


def _import(name: str) -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"parity with {name}")


@cache
def _operators() -> object:
    """Define what torchvision's compiled part would, unless that can be loaded.

    The definitions last as long as what is returned.
    """
    peer = torch()
    spec = find_spec("torchvision")
    for compiled in Path(spec.origin).parent.glob("_C*") if spec else ():
        try:
            return peer.ops.load_library(str(compiled))
        except OSError:  # it is of another build than torch
            continue
    library = peer.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library
