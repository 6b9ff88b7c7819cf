"""Networks of generative models; their objectives and samplers are in `jaxdl.generative`.

- `pixel_cnn`: `PixelCNN`
- `flows`: `RealNVP` and `Glow` of images, `CouplingFlow` of vectors; their parts
- `diffusion_unet`: `DiffusionUNet`, its parts, `time_embedding`
"""

from jaxdl.models.generative import diffusion_unet, flows, pixel_cnn
from jaxdl.models.generative.diffusion_unet import DiffusionUNet
from jaxdl.models.generative.flows import CouplingFlow, Glow, RealNVP
from jaxdl.models.generative.pixel_cnn import PixelCNN

__all__ = ["CouplingFlow", "DiffusionUNet", "Glow", "PixelCNN", "RealNVP", "diffusion_unet", "flows", "pixel_cnn"]
