"""Names of VGG's weights."""

from collections.abc import Sequence

from jaxdl.models.vision.vgg import VGG
from jaxdl.pretrained.layouts import flattened, ignored, parameter
from jaxdl.pretrained.rules import Rule


def torchvision(model: VGG) -> Sequence[Rule]:
    """Return the names of torchvision, which numbers convolutions, norms, activations and poolings in one sequence."""
    convolutions, place = [], 0
    for stage, depth in enumerate(model.depths, 1):
        for number in range(1, depth + 1):
            convolutions.append(Rule(f"conv{stage}_{number}", f"features.{place}"))
            if model.batch_norm:
                convolutions.append(Rule(f"norm{stage}_{number}", f"features.{place + 1}"))
            place += 3 if model.batch_norm else 2
        place += 1
    if model.num_classes is None:
        return [*convolutions, Rule("", r"classifier\..*", ignored)]
    dense = [Rule("dense1", "classifier.0", flattened(7, 7)), Rule("dense2", "classifier.3")]
    return [*convolutions, *dense, Rule("output", "classifier.6")]


def lpips(model: VGG) -> Sequence[Rule]:
    """Return the names of LPIPS's convolutions, of 16 layers, as AlexNet's are."""
    names = [f"conv{stage}_{i}" for stage, depth in enumerate(model.depths, 1) for i in range(1, depth + 1)]
    convolutions = [Rule(rf"{name}/(.*)", rf"VGG16_0.Conv_{i}.\1", parameter()) for i, name in enumerate(names)]
    return [*convolutions, Rule("(dense.|output)", r"absent.\1"), Rule("", r"NetLinLayer.*", ignored)]


RULES = {"torchvision": torchvision, "lpips": lpips}
