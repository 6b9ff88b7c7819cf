"""Networks with a result for every pixel or every object of an image.

- `UNet` (2015), its `DoubleConv`, `unet_margin` and `crop`
- `FCOS` (2019), a detector, of a backbone, a `FeaturePyramid` and an `FCOSHead` with its two `Tower`
- `MaskFCOS`, `FCOS` with the `MaskHead` of Mask R-CNN (2017)
- `EncoderUNet`, the decoder of a U-Net over any network with intermediates
- `ProbabilisticUNet` (2018), with its `GaussianEncoder` and `Gaussian`
- `FCN` (2015) with its `FCNHead`, on the `ResNetSegmenter`
- `DeepLabV3` (2017) with its `DeepLabHead` and `AtrousPyramid`, on the same
"""

from jaxdl.models.dense.deeplab import AtrousPyramid, DeepLabHead, DeepLabV3
from jaxdl.models.dense.encoder_unet import EncoderUNet
from jaxdl.models.dense.fcn import FCN, FCNHead, ResNetSegmenter
from jaxdl.models.dense.fcos import FCOS, FCOSHead, Tower
from jaxdl.models.dense.fpn import FeaturePyramid
from jaxdl.models.dense.mask_head import MaskFCOS, MaskHead
from jaxdl.models.dense.probabilistic_unet import Gaussian, GaussianEncoder, ProbabilisticUNet
from jaxdl.models.dense.unet import DoubleConv, UNet, crop, unet_margin

__all__ = [
    "FCN",
    "FCOS",
    "AtrousPyramid",
    "DeepLabHead",
    "DeepLabV3",
    "DoubleConv",
    "EncoderUNet",
    "FCNHead",
    "FCOSHead",
    "FeaturePyramid",
    "Gaussian",
    "GaussianEncoder",
    "MaskFCOS",
    "MaskHead",
    "ProbabilisticUNet",
    "ResNetSegmenter",
    "Tower",
    "UNet",
    "crop",
    "unet_margin",
]
