"""Names of DeepLab's weights."""

from collections.abc import Sequence

from jaxdl.models.dense.deeplab import DeepLabV3
from jaxdl.pretrained.families import fcn
from jaxdl.pretrained.rules import Rule


def torchvision(model: DeepLabV3) -> Sequence[Rule]:
    """Return the names of torchvision, where branches are counted from 0 and the pool is the last of them."""
    rules, pool = fcn.backbone_and_auxiliary(model), len(model.rates) + 1
    for ours, first, second in (("conv", 0, 1), ("norm", 1, 2)):
        rules += [
            *(Rule(f"head/pyramid/branch{i + 1}/{ours}", f"classifier.0.convs.{i}.{first}") for i in range(pool)),
            Rule(f"head/pyramid/pool/{ours}", f"classifier.0.convs.{pool}.{second}"),
            Rule(f"head/pyramid/project/{ours}", f"classifier.0.project.{first}"),
            Rule(f"head/hidden/{ours}", f"classifier.{second}"),
        ]
    return [*rules, Rule("head/output", "classifier.4")]


RULES = {"torchvision": torchvision}
