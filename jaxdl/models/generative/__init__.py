"""Networks of generative models; their objectives and samplers are in `jaxdl.generative`.

- `Autoencoder` and `TiedAutoencoder`, dense; `ConvAutoencoder`, `UnpoolingAutoencoder`
- `flatten_examples`, `check_halving`: checks of their inputs
- `VAE` (2014), `CategoricalVAE` (2017), `VQVAE` (2017) with `nearest_vectors` of its codebook
- `DCGANGenerator`, `DCGANDiscriminator` (2016), with `init_scale`
- `Pix2PixGenerator`, `PatchDiscriminator` (2017)
- `CycleGANGenerator` (2017), with its `ReflectedBlock` and `reflect`
- `pixel_cnn`: `PixelCNN`; `sample_pixel_cnn` (`pixel_cnn_sampling`) draws from it with what it kept
- `flows`: `RealNVP` and `Glow` of images, `CouplingFlow` of vectors; `flow_layers`: their parts
- `diffusion_unet`: `DiffusionUNet`, its parts, `time_embedding`
"""

from jaxdl.models.generative import diffusion_unet, flow_layers, flows, pixel_cnn
from jaxdl.models.generative.autoencoder import (
    Autoencoder,
    ConvAutoencoder,
    TiedAutoencoder,
    UnpoolingAutoencoder,
    check_halving,
    flatten_examples,
)
from jaxdl.models.generative.cyclegan import CycleGANGenerator, ReflectedBlock, reflect
from jaxdl.models.generative.dcgan import DCGANDiscriminator, DCGANGenerator, init_scale
from jaxdl.models.generative.diffusion_unet import DiffusionUNet
from jaxdl.models.generative.flows import CouplingFlow, Glow, RealNVP
from jaxdl.models.generative.pix2pix import PatchDiscriminator, Pix2PixGenerator
from jaxdl.models.generative.pixel_cnn import PixelCNN
from jaxdl.models.generative.pixel_cnn_sampling import sample_pixel_cnn
from jaxdl.models.generative.vae import VAE, VQVAE, CategoricalVAE, nearest_vectors

__all__ = [
    "VAE",
    "VQVAE",
    "Autoencoder",
    "CategoricalVAE",
    "ConvAutoencoder",
    "CouplingFlow",
    "CycleGANGenerator",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "DiffusionUNet",
    "Glow",
    "PatchDiscriminator",
    "Pix2PixGenerator",
    "PixelCNN",
    "RealNVP",
    "ReflectedBlock",
    "TiedAutoencoder",
    "UnpoolingAutoencoder",
    "check_halving",
    "diffusion_unet",
    "flatten_examples",
    "flow_layers",
    "flows",
    "init_scale",
    "nearest_vectors",
    "pixel_cnn",
    "reflect",
    "sample_pixel_cnn",
]
