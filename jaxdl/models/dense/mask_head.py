"""Masks of detected objects: the mask head of Mask R-CNN (He et al., 2017)."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.models.dense.fcos import FCOS
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.transposed import ConvTranspose
from jaxdl.nn.detections import DensePredictions
from jaxdl.nn.initializers import he_normal
from jaxdl.nn.masks import pyramid_roi_align
from jaxdl.typing import Array, ArrayLike


class MaskHead(linen.Module):
    """Predict a mask for each class from the features of a box.

    Convolutions ``conv1`` to ``convL`` of 3 x 3, a transposed one ``upconv`` of 2 x 2 and stride 2, each with ReLU, and
    a 1 x 1 convolution ``output``. Classes do not compete: each has a binary mask of its own.

    Attributes:
        num_classes: number of masks.
        widths: channels of each convolution; the transposed one has as many as the last.
        dtype: of the computation.

    >>> x = jnp.zeros((2, 5, 14, 14, 8))
    >>> logits, _ = jax.eval_shape(MaskHead(3, (8, 8)).init_with_output, jax.random.key(0), x)
    >>> logits.shape
    (2, 5, 28, 28, 3)
    """

    num_classes: int
    widths: Sequence[int] = (256, 256, 256, 256)
    dtype: Any = None

    @linen.compact
    def __call__(self, x: ArrayLike) -> Array:
        """Map the features ``[..., M, M, C]`` of boxes to logits ``[..., 2 M, 2 M, num_classes]``."""
        x = jnp.asarray(x)
        conv = partial(Conv, kernel_init=he_normal(), dtype=self.dtype)
        double = partial(ConvTranspose, kernel_init=he_normal(), dtype=self.dtype)
        for number, width in enumerate(self.widths, 1):
            x = jax.nn.relu(conv(width, (3, 3), padding=1, name=f"conv{number}")(x))
        x = jax.nn.relu(double(x.shape[-1], (2, 2), 2, name="upconv")(x))
        return conv(self.num_classes, (1, 1), name="output")(x)


class MaskFCOS(linen.Module):
    """A detector, and a mask for each of its boxes: `FCOS` with a `MaskHead` on its feature pyramid.

    The features of a box are resampled by `jaxdl.nn.pyramid_roi_align`. In training the boxes are those of the objects;
    afterwards they are detected first::

        predictions, out = model.apply(variables, x, return_intermediates=True, method="detect")
        found = nn.select_detections(predictions, x.shape[1:3])
        logits = model.apply(variables, out, found.boxes, method="masks")

    Attributes:
        detector: its fields ``num_classes`` and ``features`` hold for the masks too.
        widths: channels of the convolutions of the mask head.
        size: height and width of a box's features, half of those of its mask.

    >>> from jaxdl.models import ResNet
    >>> model = MaskFCOS(FCOS(3, ResNet(None, widths=(4, 8, 16, 32)), features=32), widths=(8,), size=7)
    >>> x, boxes = jnp.zeros((1, 64, 64, 3)), jnp.zeros((1, 5, 4))
    >>> (_, masks), _ = jax.eval_shape(model.init_with_output, jax.random.key(0), x, boxes)
    >>> masks.shape
    (1, 5, 14, 14, 3)
    """

    detector: FCOS = FCOS()
    widths: Sequence[int] = (256, 256, 256, 256)
    size: int = 14

    def setup(self) -> None:
        """Create the head."""
        self.mask_head = MaskHead(self.detector.num_classes, self.widths, self.detector.dtype)

    def __call__(self, x: ArrayLike, boxes: ArrayLike, train: bool = False) -> tuple[DensePredictions, Array]:
        """Return the predictions for images ``[B, H, W, 3]``, and the logits of the masks of boxes ``[B, N, 4]``."""
        predictions, out = self.detect(x, train, return_intermediates=True)
        return predictions, self.masks(out, boxes)

    def detect(self, x: ArrayLike, train: bool = False, return_intermediates: bool = False) -> Any:
        """Apply the detector."""
        return self.detector(x, train, return_intermediates)

    def masks(self, out: Mapping[str, Array], boxes: ArrayLike) -> Array:
        """Compute the logits ``[B, N, 2 size, 2 size, num_classes]`` of boxes ``[B, N, 4]`` from intermediates."""
        count = len(self.detector.maps)  # as in Mask R-CNN, not the levels beyond those of the backbone
        levels = [out[f"p{number}"] for number in range(3, 3 + count)]
        return self.mask_head(pyramid_roi_align(levels, boxes, self.size, self.detector.strides[:count]))
