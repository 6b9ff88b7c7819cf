"""Networks of generative models; their objectives and samplers are in `jaxdl.generative`.

- `DCGANGenerator`, `DCGANDiscriminator` (2016), with `init_scale`
- `Pix2PixGenerator`, `PatchDiscriminator` (2017)
- `CycleGANGenerator` (2017), with its `ReflectedBlock` and `reflect`
"""

from jaxdl.models.generative.cyclegan import CycleGANGenerator, ReflectedBlock, reflect
from jaxdl.models.generative.dcgan import DCGANDiscriminator, DCGANGenerator, init_scale
from jaxdl.models.generative.pix2pix import PatchDiscriminator, Pix2PixGenerator

__all__ = [
    "CycleGANGenerator",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "PatchDiscriminator",
    "Pix2PixGenerator",
    "ReflectedBlock",
    "init_scale",
    "reflect",
]
