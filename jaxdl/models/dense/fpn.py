"""Feature pyramid network: maps of every scale with the same channels (Lin et al., 2017)."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.initializers import he_normal
from jaxdl.typing import Array


class FeaturePyramid(linen.Module):
    """Merge the maps ``c_1 .. c_L`` of a backbone, from fine to coarse, from the coarsest down::

        m_L = lateral_L(c_L)        m_l = lateral_l(c_l) + upsample(m_(l+1))        p_l = smooth_l(m_l)

    The lateral convolutions are 1 x 1, the smoothing ones 3 x 3, both without activation; the upsampling repeats the
    nearest pixel. Further levels each halve the one before by a 3 x 3 convolution of stride 2, ``extra1`` of the last
    ``p_L``, the next ones of the rectified level before (Lin et al., "Focal loss for dense object detection", 2017).

    Attributes:
        features: channels of all levels.
        extra_levels: number of further levels.
        dtype: of the computation.

    >>> maps = [jnp.zeros((1, n, n, c)) for n, c in ((8, 4), (4, 8), (2, 16))]
    >>> levels, _ = jax.eval_shape(FeaturePyramid(6, 1).init_with_output, jax.random.key(0), maps)
    >>> [level.shape for level in levels]
    [(1, 8, 8, 6), (1, 4, 4, 6), (1, 2, 2, 6), (1, 1, 1, 6)]
    """

    features: int = 256
    extra_levels: int = 2
    dtype: Any = None

    @linen.compact
    def __call__(self, maps: Sequence[Array]) -> list[Array]:
        """Map ``[B, H_l, W_l, C_l]`` to ``[B, H_l, W_l, features]``, and to the further levels."""

        def conv(x: Array, size: int, name: str, stride: int = 1) -> Array:
            layer = Conv(
                self.features, (size, size), stride, size // 2, kernel_init=he_normal(), dtype=self.dtype, name=name
            )
            return layer(x)

        merged: list[Array] = []
        for number, x in reversed(list(enumerate(maps, 1))):
            lateral = conv(x, 1, f"lateral{number}")
            merged.insert(0, lateral + _resize_nearest(merged[0], x.shape[1:3]) if merged else lateral)
        levels = [conv(x, 3, f"smooth{number}") for number, x in enumerate(merged, 1)]
        for number in range(1, self.extra_levels + 1):
            x = levels[-1] if number == 1 else jax.nn.relu(levels[-1])
            levels.append(conv(x, 3, f"extra{number}", stride=2))
        return levels


def _resize_nearest(x: Array, size: Sequence[int]) -> Array:
    """Take for row ``i`` of ``size[0]`` the row ``floor(i H / size[0])``, and the same for columns."""
    rows, columns = (np.arange(new) * old // new for old, new in zip(x.shape[1:3], size, strict=True))
    return jnp.take(jnp.take(x, rows, axis=1), columns, axis=2)
