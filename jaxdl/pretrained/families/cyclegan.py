"""Names of the weights of CycleGAN's generator; those of its discriminator are with `pix2pix`."""

from collections.abc import Sequence

from jaxdl.models.generative.cyclegan import CycleGANGenerator
from jaxdl.pretrained.families.pix2pix import STATISTICS
from jaxdl.pretrained.rules import Rule


def pytorch_cyclegan_and_pix2pix(model: CycleGANGenerator) -> Sequence[Rule]:
    """Return the names of pytorch-CycleGAN-and-pix2pix, of a generator without dropout."""
    after = 10 + model.num_blocks
    rules = [Rule("stem", "model.1"), Rule("down1", "model.4"), Rule("down2", "model.7")]
    for number in range(1, model.num_blocks + 1):
        block = f"model.{9 + number}.conv_block"
        rules += [Rule(f"block{number}/conv1", f"{block}.1"), Rule(f"block{number}/conv2", f"{block}.5")]
    rules += [Rule("up1", f"model.{after}"), Rule("up2", f"model.{after + 3}"), Rule("output", f"model.{after + 7}")]
    return [*rules, STATISTICS]


RULES = {"pytorch_cyclegan_and_pix2pix": pytorch_cyclegan_and_pix2pix}
