"""WaveNet (van den Oord et al., 2016): model sound one sample at a time, each given the thousands before it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.checks import renamed_fields
from jaxdl.models.layers import Embed, collect
from jaxdl.models.registry import register
from jaxdl.nn.activations import relu, sigmoid, tanh
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.geometry import receptive_field
from jaxdl.typing import Array, ArrayLike


class WaveNetCarry(NamedTuple):
    """The samples so far, as far as later outputs see them.

    Attributes:
        length: the number of samples so far, a scalar.
        queues: for every layer its last ``(F - 1) d + 1`` inputs, ``[B, (F - 1) d + 1, C]``, with that of time ``t`` at
            index ``t`` modulo this length.
    """

    length: Array
    queues: tuple[Array, ...]


@renamed_fields(residual_features="residual_channels", gate_features="gate_channels", skip_features="skip_channels")
class WaveNet(linen.Module):
    """Stacks of dilated causal convolutions with gated units, whose skip connections are summed.

    A layer has kernels of ``F`` samples that are ``d`` apart, the last of them the current one::

        z = tanh(W_f * x) sigmoid(W_g * x)
        x <- x + W_r z
        s = W_s z

    and the logits are ``W_o relu(W_d relu(sum s))``, all with biases. The first ``x`` is an embedding of the samples,
    which is a convolution of one sample. The logits at ``t`` are those of sample ``t + 1``, and see the ``1 + stacks
    (F - 1) sum d`` samples up to ``t``, the `receptive_field`. Before the first sample every layer sees zeros.

    ``step`` generates one sample, at a cost that grows with the number of layers, not with their dilations. Its carry
    is ``init_carry((B,))`` before the first sample, or the result of ``prefill`` after a prompt.

    Intermediates are ``embedding``, ``stack1_layer1`` (its new ``x``) and so on, ``skip`` (the rectified sum) and
    ``dense``. Nothing sees the new ``x`` of the last layer, whose entry is ``z`` instead.

    Args:
        num_classes: levels of a sample; `jaxdl.data.audio` makes them.
        stacks: the number of times that the dilations are repeated.
        dilations: ``d`` of the layers of a stack.
        kernel_size: ``F``.
        residual_channels: of ``x``.
        gate_channels: of ``z``.
        skip_channels: of ``s``.
        dtype: of the computation.

    >>> from jaxdl import decode, models
    >>> model = WaveNet(num_classes=4, dilations=(1, 2), residual_channels=3, gate_channels=3, skip_channels=3)
    >>> model.receptive_field
    4
    >>> variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 4), int))
    >>> def generate(variables, first):
    ...     step_fn = models.step_function(model, variables)
    ...     return decode.greedy(step_fn, model.init_carry((2,)), first, max_length=5).tokens
    >>> jax.eval_shape(generate, variables, jnp.array([0, 1])).shape
    (2, 5)
    """

    num_classes: int = 256
    stacks: int = 1
    dilations: Sequence[int] = tuple(2**i for i in range(10))
    kernel_size: int = 2
    residual_channels: int = 32
    gate_channels: int = 32
    skip_channels: int = 256
    dtype: Any = None

    def layers(self) -> dict[str, int]:
        """Name every layer, with its dilation."""
        stacks = range(1, self.stacks + 1)
        return {f"stack{stack}_layer{i}": d for stack in stacks for i, d in enumerate(self.dilations, 1)}

    @property
    def receptive_field(self) -> int:
        """The number of samples that one output sees."""
        return receptive_field([(self.kernel_size, 1, dilation) for dilation in self.layers().values()])

    def __call__(
        self,
        x: ArrayLike,
        train: bool = False,
        return_intermediates: bool = False,
        *,
        carry: WaveNetCarry | None = None,
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Compute the logits ``[B, T, num_classes]`` of the sample after each of the samples ``[B, T]``, integers.

        They continue the samples of ``carry``; ``prefill`` also returns the carry after them.

        Raises:
            ValueError: these are no integers ``[B, T]``.
        """
        del train  # nothing is random
        _, logits, out = self._run_sequence(x, carry)
        return (logits, out) if return_intermediates else logits

    def init_carry(self, batch_shape: Sequence[int]) -> WaveNetCarry:
        """Make the carry before the first sample, for a batch shape ``(B,)``."""
        dtype = jnp.float32 if self.dtype is None else self.dtype
        lengths = [(self.kernel_size - 1) * dilation + 1 for dilation in self.layers().values()]
        queues = tuple(jnp.zeros((*batch_shape, length, self.residual_channels), dtype) for length in lengths)
        return WaveNetCarry(jnp.zeros((), jnp.int32), queues)

    def prefill(self, x: ArrayLike, carry: WaveNetCarry | None = None) -> tuple[WaveNetCarry, Array]:
        """Return the carry after a prompt of samples ``[B, T]``, and their logits ``[B, T, num_classes]``."""
        carry, logits, _ = self._run_sequence(x, carry)
        return carry, logits

    def step(self, carry: WaveNetCarry, x: ArrayLike) -> tuple[WaveNetCarry, Array]:
        """Map the carry and a sample ``[B]`` to the next carry and logits ``[B, num_classes]``."""
        x = self._check_samples(x, ndim=1)
        queues, updated = iter(carry.queues), []

        def window(x: Array, dilation: int) -> Array:
            queue = next(queues)
            # A queue that is written before it is read is updated in place; in the other order it is copied.
            now = carry.length % queue.shape[1]
            queue = jax.lax.dynamic_update_index_in_dim(queue, x.astype(queue.dtype), now, axis=1)
            updated.append(queue)
            before = jnp.arange(self.kernel_size)[::-1] * dilation
            return queue[:, (carry.length - before) % queue.shape[1]].astype(x.dtype)

        logits, _ = self._run(x, window)
        return WaveNetCarry(carry.length + 1, tuple(updated)), logits

    def _run_sequence(self, x: ArrayLike, carry: WaveNetCarry | None) -> tuple[WaveNetCarry, Array, dict[str, Array]]:
        """Run over ``[B, T]`` at once, from a carry; return the carry after it, the logits and the intermediates."""
        x = self._check_samples(x, ndim=2)
        length, queues = x.shape[1], []
        before = 0 if carry is None else carry.length

        def window(x: Array, dilation: int) -> Array:
            reach = (self.kernel_size - 1) * dilation
            if carry is None:
                padded = jnp.pad(x, ((0, 0), (reach + 1, 0), (0, 0)))
            else:
                queue = carry.queues[len(queues)].astype(x.dtype)
                padded = jnp.concatenate([jnp.roll(queue, -before, axis=1), x], axis=1)
            queues.append(jnp.roll(padded[:, length:], before + length, axis=1))
            starts = range(1, reach + 2, dilation)
            return jnp.stack([padded[:, start : start + length] for start in starts], axis=2)

        logits, out = self._run(x, window)
        return WaveNetCarry(jnp.asarray(before + length, jnp.int32), tuple(queues)), logits, out

    @linen.compact
    def _run(self, x: Array, window: Callable[[Array, int], Array]) -> tuple[Array, dict[str, Array]]:
        """Map samples ``[...]`` to logits ``[..., num_classes]`` and intermediates.

        ``window(x, d)`` is ``[..., F, C]``, the ``F`` inputs that a layer of dilation ``d`` sees.
        """
        dense, out = partial(linen.Dense, dtype=self.dtype), {}
        embed = Embed(self.num_classes, self.residual_channels, dtype=self.dtype, name="embedding")
        x = collect(out, "embedding", embed(x))
        skips, layers = [], self.layers()
        for number, (name, dilation) in enumerate(layers.items(), 1):
            last = number == len(layers)
            layer = GatedLayer(self.gate_channels, self.skip_channels, last, dtype=self.dtype, name=name)
            x, skip = layer(window(x, dilation))
            x = collect(out, name, x)
            skips.append(skip)
        x = collect(out, "skip", relu(sum(skips[1:], skips[0])))
        x = collect(out, "dense", relu(dense(self.skip_channels, name="dense")(x)))
        return dense(self.num_classes, name="output")(x), out

    def _check_samples(self, x: ArrayLike, ndim: int) -> Array:
        x, form = jnp.asarray(x), {1: "[B]", 2: "[B, T]"}[ndim]
        if x.ndim != ndim or not jnp.issubdtype(x.dtype, jnp.integer):
            raise ValueError(
                f"expected samples {form}, integers in [0, {self.num_classes}), got {x.shape} of {x.dtype}; "
                "encode sound with jaxdl.data.audio.mu_law_encode"
            )
        return x


@renamed_fields(features="gate_channels", skip_features="skip_channels")
class GatedLayer(linen.Module):
    """The gated unit ``z = tanh(W_f * x) sigmoid(W_g * x)`` with its outputs ``x + W_r z`` and ``s = W_s z``."""

    gate_channels: int
    skip_channels: int
    last: bool = False
    dtype: Any = None

    @linen.compact
    def __call__(self, window: Array) -> tuple[Array, Array]:
        """Return the new ``x [..., C]``, or ``z`` if this is the last layer, and ``s [..., S]``.

        Args:
            window: the inputs under the kernel, ``[..., F, C]``, the last of them ``x``.
        """
        conv = partial(Conv, self.gate_channels, (window.shape[-2],), form="patches", dtype=self.dtype)
        dense, x = partial(linen.Dense, dtype=self.dtype), window[..., -1, :]
        z = (tanh(conv(name="filter")(window)) * sigmoid(conv(name="gate")(window)))[..., 0, :]
        y = z if self.last else x + dense(x.shape[-1], name="residual")(z)
        return y, dense(self.skip_channels, name="skip")(z)


register(
    "wavenet",
    WaveNet,
    input_shape=(1024,),
    input_dtype="int32",
    description="WaveNet of one stack of dilations 1 to 512, which sees 1,024 samples",
)
