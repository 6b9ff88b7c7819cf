"""Networks with a result for every pixel or every object of an image.

- `UNet` (2015), its `DoubleConv`, `unet_margin` and `crop`
"""

from jaxdl.models.dense.unet import DoubleConv, UNet, crop, unet_margin

__all__ = ["DoubleConv", "UNet", "crop", "unet_margin"]
