"""Names of the weights of residual networks."""

from collections.abc import Sequence

from jaxdl.models.vision.resnet import ResNet
from jaxdl.pretrained.layouts import Change, Layout
from jaxdl.pretrained.rules import Rule

HEAD = Layout({"kernel": Change(lambda theirs: theirs[..., 0, 0].T, lambda ours: ours.T[..., None, None])})
"""A dense kernel of ours that is a 1x1 convolution of theirs."""


def torchvision(model: ResNet) -> Sequence[Rule]:
    """Give the names of torchvision, where blocks are counted from 0.

    Raises:
        ValueError: pre-activation, which it does not have, or scanned blocks.
    """
    if model.preactivation:
        raise ValueError("torchvision has no networks with pre-activation: take source='timm'")
    rules = [Rule("stem/conv", "conv1"), Rule("stem/norm", "bn1"), Rule("output", "fc")]
    for ours, stage, block in _blocks(model):
        theirs = f"layer{stage + 1}.{block}"
        rules += [
            Rule(rf"{ours}/conv(\d)", rf"{theirs}.conv\1"),
            Rule(rf"{ours}/norm(\d)", rf"{theirs}.bn\1"),
            Rule(f"{ours}/shortcut/conv", f"{theirs}.downsample.0"),
            Rule(f"{ours}/shortcut/norm", f"{theirs}.downsample.1"),
        ]
    return rules


def timm(model: ResNet) -> Sequence[Rule]:
    """Give the names of timm: torchvision's, and with pre-activation those of its ``ResNetV2``.

    Raises:
        ValueError: scanned blocks.
    """
    if not model.preactivation:
        return torchvision(model)
    rules = [Rule("stem", "stem.conv"), Rule("norm", "norm"), Rule("output", "head.fc", HEAD)]
    for ours, stage, block in _blocks(model):
        theirs = f"stages.{stage}.blocks.{block}"
        rules += [
            Rule(rf"{ours}/((?:conv|norm)\d)", rf"{theirs}.\1"),
            Rule(f"{ours}/shortcut", f"{theirs}.downsample.conv"),
        ]
    return rules


def _blocks(model: ResNet) -> list[tuple[str, int, int]]:
    """List our name of every block, and the numbers of its stage and of itself from 0."""
    if model.scan_blocks:
        raise ValueError("every block has names of its own: take scan_blocks=False, and models.scanning.stack_blocks")
    counted = [(stage, block) for stage, depth in enumerate(model.depths) for block in range(depth)]
    return [(f"stage{stage + 1}_block{block + 1}", stage, block) for stage, block in counted]


RULES = {"torchvision": torchvision, "timm": timm}
