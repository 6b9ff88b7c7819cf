"""Names of the weights of pix2pix, and of the patch discriminator of CycleGAN."""

from collections.abc import Sequence

from jaxdl.models.generative.pix2pix import PatchDiscriminator, Pix2PixGenerator
from jaxdl.pretrained.layouts import ignored
from jaxdl.pretrained.rules import Rule

STATISTICS = Rule("", r"model\..*\.(running_mean|running_var|num_batches_tracked)", ignored)
"""Running moments that old files have for instance norms, which use none."""


def pytorch_cyclegan_and_pix2pix(model: Pix2PixGenerator | PatchDiscriminator) -> Sequence[Rule]:
    """Return the names of pytorch-CycleGAN-and-pix2pix."""
    return _unet(len(model.widths)) if isinstance(model, Pix2PixGenerator) else _patches(model)


def _unet(scales: int) -> list[Rule]:
    """Name the layers of blocks each of which holds the next: ``model.model.1.model.3.model.3 ...``."""
    rules, block = [], "model.model"
    for scale in range(1, scales + 1):
        down, up = {1: (0, 3), scales: (1, 3)}.get(scale, (1, 5))
        rules += [Rule(f"down{scale}", f"{block}.{down}"), Rule(f"up{scale}", f"{block}.{up}")]
        rules += [Rule(f"down_norm{scale}", f"{block}.2"), Rule(f"up_norm{scale}", f"{block}.{up + 1}")]
        block += f".{1 if scale == 1 else 3}.model"
    return rules


def _patches(model: PatchDiscriminator) -> list[Rule]:
    """Name the layers of a sequence of convolutions, norms, which the first layer has not, and activations."""
    count = len(model.widths)
    rules = [Rule(f"conv{i}", f"model.{max(0, 3 * i - 4)}") for i in range(1, count + 1)]
    rules += [Rule(f"norm{i}", f"model.{3 * i - 3}") for i in range(2, count + 1)]
    rules.append(Rule("output", f"model.{3 * count - 1}"))
    return rules if model.norm == "batch" else [*rules, STATISTICS]


RULES = {"pytorch_cyclegan_and_pix2pix": pytorch_cyclegan_and_pix2pix}
