"""Networks of generative models; their objectives and samplers are in `jaxdl.generative`.

- `Autoencoder` and `TiedAutoencoder`, dense; `ConvAutoencoder`, `UnpoolingAutoencoder`
- `flatten_examples`, `check_halving`: checks of their inputs
- `VAE` (2014), `CategoricalVAE` (2017), `VQVAE` (2017) with `nearest_vectors` of its codebook
"""

from jaxdl.models.generative.autoencoder import (
    Autoencoder,
    ConvAutoencoder,
    TiedAutoencoder,
    UnpoolingAutoencoder,
    check_halving,
    flatten_examples,
)
from jaxdl.models.generative.vae import VAE, VQVAE, CategoricalVAE, nearest_vectors

__all__ = [
    "VAE",
    "VQVAE",
    "Autoencoder",
    "CategoricalVAE",
    "ConvAutoencoder",
    "TiedAutoencoder",
    "UnpoolingAutoencoder",
    "check_halving",
    "flatten_examples",
    "nearest_vectors",
]
