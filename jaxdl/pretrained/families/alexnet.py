"""Names of AlexNet's weights."""

from collections.abc import Sequence

from jaxdl.models.alexnet import AlexNet
from jaxdl.pretrained.layouts import flattened
from jaxdl.pretrained.rules import Rule


def torchvision(model: AlexNet) -> Sequence[Rule]:
    """Give the names of torchvision, numbers in two sequences; `alexnet_grouped` has the same layers."""
    del model
    return [
        Rule("conv1", "features.0"),
        Rule("conv2", "features.3"),
        Rule("conv3", "features.6"),
        Rule("conv4", "features.8"),
        Rule("conv5", "features.10"),
        Rule("dense1", "classifier.1", flattened(6, 6)),
        Rule("dense2", "classifier.4"),
        Rule("output", "classifier.6"),
    ]


RULES = {"torchvision": torchvision}
