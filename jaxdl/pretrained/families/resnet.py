"""Names of the weights of residual networks."""

from collections.abc import Sequence

from jaxdl.models.vision.resnet import PADDINGS, PreActivationResNet, ResNet
from jaxdl.pretrained.layouts import Change, Layout
from jaxdl.pretrained.rules import Rule

HEAD = Layout({"kernel": Change(lambda theirs: theirs[..., 0, 0].T, lambda ours: ours.T[..., None, None])})
"""A dense kernel here, a 1x1 convolution there."""


def torchvision(model: ResNet | PreActivationResNet) -> Sequence[Rule]:
    """Return the names of torchvision, where blocks are counted from 0.

    Raises:
        ValueError: the network has pre-activation, unknown to torchvision, or scanned blocks.
    """
    if isinstance(model, PreActivationResNet):
        raise ValueError("expected a ResNet for torchvision, got PreActivationResNet; give source='timm'")
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


def timm(model: ResNet | PreActivationResNet) -> Sequence[Rule]:
    """Return the names of timm: those of torchvision, and with pre-activation those of its ``ResNetV2``.

    Raises:
        ValueError: the blocks are scanned.
    """
    if isinstance(model, ResNet):
        return torchvision(model)
    rules = [Rule("stem", "stem.conv"), Rule("norm", "norm"), Rule("output", "head.fc", HEAD)]
    for ours, stage, block in _blocks(model):
        theirs = f"stages.{stage}.blocks.{block}"
        rules += [
            Rule(rf"{ours}/((?:conv|norm)\d)", rf"{theirs}.\1"),
            Rule(f"{ours}/shortcut", f"{theirs}.downsample.conv"),
        ]
    return rules


def resnet_cifar10(model: ResNet | PreActivationResNet) -> Sequence[Rule]:
    """Return the names of the repository ``pytorch_resnet_cifar10``: torchvision's, but ``linear`` for the output.

    Its files have ``entry="state_dict"`` and ``prefix="module."``.

    Raises:
        ValueError: the network has other shortcuts than that implementation, or pre-activation, or scanned blocks.
    """
    if model.shortcut != "padding_both_sides":
        raise ValueError(f"expected shortcut='padding_both_sides' for these weights, got {model.shortcut!r}")
    return [Rule("output", "linear") if rule.ours == "output" else rule for rule in torchvision(model)]


def _blocks(model: ResNet | PreActivationResNet) -> list[tuple[str, int, int]]:
    """List our name of every block, and the numbers of its stage and of itself from 0."""
    if model.scan_blocks:
        raise ValueError(
            "expected scan_blocks=False, got True; load the weights with scan_blocks=False, then stack them with "
            "jaxdl.models.scanning.stack_blocks"
        )
    counted = [(stage, block) for stage, depth in enumerate(model.depths) for block in range(depth)]
    return [(f"stage{stage + 1}_block{block + 1}", stage, block) for stage, block in counted]


def undetermined(model: ResNet | PreActivationResNet) -> dict[str, str]:
    """Return the fields that a file does not determine, with advice: shortcuts without parameters."""
    if not model.residual or (model.shortcut or ("padding" if model.stem == "cifar" else "projection")) not in PADDINGS:
        return {}
    return {
        "shortcut": "'padding' where channels of zeros follow the others, as in the paper, 'padding_both_sides' where "
        "half of them precede the others, as in widespread implementations in PyTorch"
    }


RULES = {"torchvision": torchvision, "timm": timm, "resnet_cifar10": resnet_cifar10}
UNDETERMINED = {"torchvision": undetermined, "timm": undetermined}
