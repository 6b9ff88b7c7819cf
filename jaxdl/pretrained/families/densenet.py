"""Names of the weights of densely connected networks."""

from collections.abc import Sequence

from jaxdl.models.vision.densenet import DenseNet
from jaxdl.pretrained.rules import Rule


def torchvision(model: DenseNet) -> Sequence[Rule]:
    """Return the names of torchvision, which are timm's, too."""
    del model
    return [
        Rule("stem/conv", "features.conv0"),
        Rule("stem/norm", "features.norm0"),
        Rule("stem", "features.conv0"),
        Rule(r"block(\d+)_layer(\d+)/(norm\d|conv\d)", r"features.denseblock\1.denselayer\2.\3"),
        Rule(r"transition(\d+)/(norm|conv)", r"features.transition\1.\2"),
        Rule("norm", "features.norm5"),
        Rule("output", "classifier"),
    ]


RULES = {"torchvision": torchvision, "timm": torchvision}
