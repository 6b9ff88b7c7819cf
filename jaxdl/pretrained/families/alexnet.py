"""Names of AlexNet's weights."""

from collections.abc import Sequence

from jaxdl.models.vision.alexnet import AlexNet
from jaxdl.pretrained.layouts import flattened, ignored, parameter
from jaxdl.pretrained.rules import Rule


def torchvision(model: AlexNet) -> Sequence[Rule]:
    """Return the names of torchvision, numbers in two sequences; `alexnet_grouped` has the same layers."""
    convolutions = [Rule(f"conv{i}", f"features.{place}") for i, place in enumerate((0, 3, 6, 8, 10), 1)]
    if model.num_classes is None:
        return [*convolutions, Rule("", r"classifier\..*", ignored)]
    dense = [Rule("dense1", "classifier.1", flattened(6, 6)), Rule("dense2", "classifier.4")]
    return [*convolutions, *dense, Rule("output", "classifier.6")]


def lpips(model: AlexNet) -> Sequence[Rule]:
    """Return the names of LPIPS's convolutions, which lie as ours do; of its own layers nothing is taken.

    They expect colours from -1 to 1, less (-0.03, -0.088, -0.188), by (0.458, 0.448, 0.45), which are torchvision's.
    There are no dense layers: give ``num_classes=None``, or the patterns of what is drawn anew.
    """
    del model
    convolutions = [Rule(rf"conv{i + 1}/(.*)", rf"AlexNet_0.Conv_{i}.\1", parameter()) for i in range(5)]
    return [*convolutions, Rule("(dense.|output)", r"absent.\1"), Rule("", r"NetLinLayer.*", ignored)]


RULES = {"torchvision": torchvision, "lpips": lpips}
