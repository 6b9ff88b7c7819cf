"""Networks with a result for every pixel or every object of an image.

- `UNet` (2015), its `DoubleConv`, `unet_margin` and `crop`
- `FCOS` (2019), a detector, of a backbone, a `FeaturePyramid` and an `FCOSHead` with its two `Tower`
- `MaskFCOS`, `FCOS` with the `MaskHead` of Mask R-CNN (2017)
"""

from jaxdl.models.dense.fcos import FCOS, FCOSHead, Tower
from jaxdl.models.dense.fpn import FeaturePyramid
from jaxdl.models.dense.mask_head import MaskFCOS, MaskHead
from jaxdl.models.dense.unet import DoubleConv, UNet, crop, unet_margin

__all__ = [
    "FCOS",
    "DoubleConv",
    "FCOSHead",
    "FeaturePyramid",
    "MaskFCOS",
    "MaskHead",
    "Tower",
    "UNet",
    "crop",
    "unet_margin",
]
