"""Names of Xception's weights."""

from collections.abc import Sequence

from jaxdl.models.vision.xception import Xception
from jaxdl.pretrained.rules import Rule


def timm(model: Xception) -> Sequence[Rule]:
    """Return the names of timm's ``legacy_xception``, blocks in one count and their layers in a sequence."""
    blocks = {f"entry{i}": i for i in (1, 2, 3)}
    blocks |= {f"middle{i}": 3 + i for i in range(1, model.middle_blocks + 1)}
    blocks |= {"exit1": 12}
    rules = []
    for name, number in blocks.items():
        for i in (1, 2, 3):
            place = 3 * (i - 1) + (name != "entry1")  # every other block begins with a rectification
            rules += [
                Rule(f"{name}/conv{i}/depthwise", f"block{number}.rep.{place}.conv1"),
                Rule(f"{name}/conv{i}/pointwise", f"block{number}.rep.{place}.pointwise"),
                Rule(f"{name}/norm{i}", f"block{number}.rep.{place + 1}"),
            ]
        rules += [
            Rule(f"{name}/shortcut/conv", f"block{number}.skip"),
            Rule(f"{name}/shortcut/norm", f"block{number}.skipbn"),
        ]
    return [
        *rules,
        Rule(r"conv([12])/conv", r"conv\1"),
        Rule(r"conv([12])/norm", r"bn\1"),
        Rule(r"conv([34])/depthwise", r"conv\1.conv1"),
        Rule(r"conv([34])/pointwise", r"conv\1.pointwise"),
        Rule(r"norm([34])", r"bn\1"),
        Rule("output", "fc"),
    ]


RULES = {"timm": timm}
