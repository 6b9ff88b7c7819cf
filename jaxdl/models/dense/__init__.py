"""Networks with a result for every pixel or every object of an image.

- `UNet` (2015), its `DoubleConv`, `unet_margin` and `crop`
- `EncoderUNet`, the decoder of a U-Net over any network with intermediates
- `ProbabilisticUNet` (2018), with its `GaussianEncoder` and `Gaussian`
- `FCN` (2015) with its `FCNHead`, on the `ResNetSegmenter`
- `DeepLabV3` (2017) with its `DeepLabHead` and `AtrousPyramid`, on the same
"""

from jaxdl.models.dense.deeplab import AtrousPyramid, DeepLabHead, DeepLabV3
from jaxdl.models.dense.encoder_unet import EncoderUNet
from jaxdl.models.dense.fcn import FCN, FCNHead, ResNetSegmenter
from jaxdl.models.dense.probabilistic_unet import Gaussian, GaussianEncoder, ProbabilisticUNet
from jaxdl.models.dense.unet import DoubleConv, UNet, crop, unet_margin

__all__ = [
    "FCN",
    "AtrousPyramid",
    "DeepLabHead",
    "DeepLabV3",
    "DoubleConv",
    "EncoderUNet",
    "FCNHead",
    "Gaussian",
    "GaussianEncoder",
    "ProbabilisticUNet",
    "ResNetSegmenter",
    "UNet",
    "crop",
    "unet_margin",
]
