"""Names of the weights of mask heads."""

from collections.abc import Sequence

from jaxdl.models.dense.mask_head import MaskFCOS, MaskHead
from jaxdl.pretrained.families import fcos
from jaxdl.pretrained.layouts import renamed
from jaxdl.pretrained.rules import Rule


def torchvision(model: MaskHead | MaskFCOS) -> Sequence[Rule]:
    """Return the names of the mask head of torchvision's ``maskrcnn_resnet50_fpn``.

    Those of `MaskFCOS` are them and those of its detector.
    """
    if isinstance(model, MaskFCOS):
        detector = [
            rule if rule.layout.ignored else Rule(f"detector/{rule.ours}", rule.theirs)
            for rule in fcos.torchvision(model.detector)
        ]
        return [*detector, *_head(model.widths, "mask_head/")]
    return _head(model.widths, "")


def _head(widths: Sequence[int], prefix: str) -> list[Rule]:
    head, predictor = "roi_heads.mask_head", "roi_heads.mask_predictor"
    rules = [
        Rule(f"{prefix}upconv", f"{predictor}.conv5_mask"),
        Rule(f"{prefix}output", f"{predictor}.mask_fcn_logits"),
    ]
    for n in range(1, len(widths) + 1):
        before = rf"roi_heads\.mask_head\.mask_fcn{n}\.(weight|bias)"  # of before version 0.14
        rules += [
            Rule(f"{prefix}conv{n}", f"{head}.{n - 1}.0"),
            Rule("", before, renamed(rf"{head}.{n - 1}.0.\1")),
        ]
    return rules


RULES = {"torchvision": torchvision}
