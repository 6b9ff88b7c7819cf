"""Names of Inception's weights: of v3, since nobody publishes v2 under names that these sources use.

Torchvision's and timm's names are the same. Torchvision's weights are for ``transform_input=True``.
"""

from collections.abc import Sequence

from jaxdl.models.vision.inception import InceptionV2, InceptionV3
from jaxdl.pretrained.rules import Rule

STEM = {"conv1": "1a_3x3", "conv2": "2a_3x3", "conv3": "2b_3x3", "conv4": "3b_1x1", "conv5": "4a_3x3"}


def torchvision(model: InceptionV2 | InceptionV3) -> Sequence[Rule]:
    """Return the names of torchvision and timm.

    Raises:
        ValueError: the model is not Inception v3.
    """
    if not isinstance(model, InceptionV3):
        raise ValueError(f"expected InceptionV3, got {type(model).__name__}; no weights of it are published")
    rules = []
    for ours, theirs in (("conv", "conv"), ("norm", "bn")):
        rules += [
            *(Rule(f"{name}/{ours}", f"Conv2d_{peer}.{theirs}") for name, peer in STEM.items()),
            Rule(f"mixed6a/branch3x3_1/{ours}", f"Mixed_6a.branch3x3.{theirs}"),
            Rule(rf"mixed7a/branch7x7_(\d)/{ours}", rf"Mixed_7a.branch7x7x3_\1.{theirs}"),
            Rule(rf"mixed(..)/branch1x1_1/{ours}", rf"Mixed_\1.branch1x1.{theirs}"),
            Rule(rf"mixed(..)/pool_1/{ours}", rf"Mixed_\1.branch_pool.{theirs}"),
            Rule(rf"mixed(..)/(branch.x.)_double_(..?)/{ours}", rf"Mixed_\1.\2dbl_\3.{theirs}"),
            Rule(rf"mixed(..)/(branch.x._..?)/{ours}", rf"Mixed_\1.\2.{theirs}"),
            Rule(f"auxiliary_conv1/{ours}", f"AuxLogits.conv0.{theirs}"),
            Rule(f"auxiliary_conv2/{ours}", f"AuxLogits.conv1.{theirs}"),
        ]
    return [*rules, Rule("auxiliary_output", "AuxLogits.fc"), Rule("output", "fc")]


def undetermined(model: InceptionV2 | InceptionV3) -> dict[str, str]:
    """Return the fields that a file does not determine, with advice."""
    del model
    return {
        "transform_input": "True for the weights that torchvision publishes, with images standardized for ImageNet, "
        "False for those trained without it"
    }


RULES = {"torchvision": torchvision, "timm": torchvision}
UNDETERMINED = {"torchvision": undetermined, "timm": undetermined}
