"""Names of the weights of FCOS."""

from collections.abc import Sequence

from jaxdl.models.dense.fcos import FCOS
from jaxdl.models.vision.resnet import ResNet
from jaxdl.pretrained.families import resnet
from jaxdl.pretrained.layouts import renamed
from jaxdl.pretrained.rules import Rule


def torchvision(model: FCOS) -> Sequence[Rule]:
    """Return the names of torchvision's ``fcos_resnet50_fpn``, those of before its version 0.14 included.

    Raises:
        ValueError: the backbone is no ResNet.
    """
    if not isinstance(model.backbone, ResNet):
        raise ValueError(f"expected a ResNet for torchvision, got {type(model.backbone).__name__}")
    body = [
        Rule(f"backbone/{rule.ours}", f"backbone.body.{rule.theirs}")
        for rule in resnet.torchvision(model.backbone)
        if rule.ours != "output"
    ]
    pyramid, fpn = "pyramid", "backbone.fpn"
    rules = [
        Rule("", r"backbone\.fpn\.(inner|layer)_blocks\.(\d)\.(weight|bias)", renamed(rf"{fpn}.\1_blocks.\2.0.\3"))
    ]
    for number in range(len(model.maps)):
        rules += [
            Rule(f"{pyramid}/lateral{number + 1}", f"{fpn}.inner_blocks.{number}.0"),
            Rule(f"{pyramid}/smooth{number + 1}", f"{fpn}.layer_blocks.{number}.0"),
        ]
    rules += [Rule(f"{pyramid}/extra{n}", f"{fpn}.extra_blocks.p{n + 5}") for n in range(1, model.extra_levels + 1)]
    for tower in ("classification", "regression"):
        for number in range(model.depth):
            theirs = f"head.{tower}_head.conv"
            rules += [
                Rule(f"head/{tower}/conv{number + 1}", f"{theirs}.{3 * number}"),
                Rule(f"head/{tower}/norm{number + 1}", f"{theirs}.{3 * number + 1}"),
            ]
    return [
        *body,
        *rules,
        Rule("head/logits", "head.classification_head.cls_logits"),
        Rule("head/distances", "head.regression_head.bbox_reg"),
        Rule("head/centerness", "head.regression_head.bbox_ctrness"),
    ]


RULES = {"torchvision": torchvision}
