"""Names of the weights of segmentation on a dilated residual network."""

from collections.abc import Sequence

from jaxdl.models.dense.fcn import ResNetSegmenter
from jaxdl.pretrained.families import resnet
from jaxdl.pretrained.rules import Rule


def torchvision(model: ResNetSegmenter) -> Sequence[Rule]:
    """Return the names of torchvision."""
    return [*backbone_and_auxiliary(model), *head("head", "classifier")]


def backbone_and_auxiliary(model: ResNetSegmenter) -> list[Rule]:
    """Return torchvision's names of all but the head."""
    rules = [
        Rule(f"backbone/{ours}", f"backbone.{theirs}", layout)
        for ours, theirs, layout in resnet.torchvision(model.make_backbone())
    ]
    return rules + head("auxiliary", "aux_classifier")


def head(ours: str, theirs: str) -> list[Rule]:
    """Return torchvision's names of the layers of an ``FCNHead``."""
    return [
        Rule(f"{ours}/hidden/conv", f"{theirs}.0"),
        Rule(f"{ours}/hidden/norm", f"{theirs}.1"),
        Rule(f"{ours}/output", f"{theirs}.4"),
    ]


RULES = {"torchvision": torchvision}
