"""WaveNet (van den Oord et al., 2016): sound one sample at a time, each given the thousands before it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdl.models.registry import register
from jaxdl.nn.activations import relu, sigmoid, tanh
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.geometry import receptive_field
from jaxdl.typing import Array, ArrayLike


class Past(NamedTuple):
    """How many samples there were, and what is still to be seen of them: for every layer its last ``(F - 1) d + 1``
    inputs, ``[B, (F - 1) d + 1, C]``, that of time ``t`` in place ``t`` modulo this length.
    """

    time: Array
    queues: tuple[Array, ...]


class WaveNet(nn.Module):
    """Stacks of dilated causal convolutions with gated units, whose skip connections are summed.

    A layer has kernels of ``F`` samples that lie ``d`` apart, the last of them now::

        z = tanh(W_f * x) sigmoid(W_g * x)
        x <- x + W_r z
        s = W_s z

    and the logits are ``W_o relu(W_d relu(sum s))``, all with biases. The first ``x`` is an embedding of the samples,
    which is a convolution of one sample. The logits at ``t`` are those of sample ``t + 1``, and see the ``1 + stacks
    (F - 1) sum d`` samples up to ``t``, the `receptive_field`. Before the first sample every layer sees zeros.

    To generate, ``step`` takes one sample and the past, where each layer keeps what it will see again: its cost grows
    with the number of layers, not with their reach. The past is ``start(batch_size)`` before the first sample, or what
    ``listen`` gives after a beginning.

    The features are ``embedding``, ``stack1_layer1`` (its new ``x``) and so on, ``skip`` (the rectified sum) and
    ``dense``. Nothing sees the new ``x`` of the last layer, which therefore gives ``z``.

    Args:
        num_classes: levels of a sample; `jaxdl.data.companding` makes them.
        stacks: how often the dilations are repeated.
        dilations: ``d`` of the layers of a stack.
        kernel_size: ``F``.
        residual_features: channels of ``x``.
        gate_features: channels of ``z``.
        skip_features: channels of ``s``.
        dtype: of the computation.

    >>> from jaxdl import decode
    >>> model = WaveNet(num_classes=4, dilations=(1, 2), residual_features=3, gate_features=3, skip_features=3)
    >>> model.receptive_field
    4
    >>> variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 4), int))
    >>> def generate(variables, first):
    ...     step_fn = lambda past, sample: model.apply(variables, past, sample, method="step")
    ...     return decode.greedy(step_fn, model.start(2), first, length=5).tokens
    >>> jax.eval_shape(generate, variables, jnp.array([0, 1])).shape
    (2, 5)
    """

    num_classes: int = 256
    stacks: int = 1
    dilations: Sequence[int] = tuple(2**i for i in range(10))
    kernel_size: int = 2
    residual_features: int = 32
    gate_features: int = 32
    skip_features: int = 256
    dtype: Any = None

    def layers(self) -> dict[str, int]:
        """Name every layer, with its dilation."""
        stacks = range(1, self.stacks + 1)
        return {f"stack{stack}_layer{i}": d for stack in stacks for i, d in enumerate(self.dilations, 1)}

    @property
    def receptive_field(self) -> int:
        """How many samples one output sees."""
        return receptive_field([(self.kernel_size, 1, dilation) for dilation in self.layers().values()])

    def start(self, batch_size: int) -> Past:
        """Return the past before the first sample."""
        dtype = jnp.float32 if self.dtype is None else self.dtype
        lengths = [(self.kernel_size - 1) * dilation + 1 for dilation in self.layers().values()]
        queues = tuple(jnp.zeros((batch_size, length, self.residual_features), dtype) for length in lengths)
        return Past(jnp.zeros((), jnp.int32), queues)

    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Return the logits ``[B, T, num_classes]`` of what follows each of the samples ``[B, T]``, integers.

        Raises:
            ValueError: these are no integers ``[B, T]``.
        """
        _, logits, out = self._see_all(x)
        return (logits, out) if return_intermediates else logits

    def listen(self, x: ArrayLike) -> tuple[Past, Array]:
        """Return the past after samples ``[B, T]`` from the first on, and their logits ``[B, T, num_classes]``."""
        past, logits, _ = self._see_all(x)
        return past, logits

    def step(self, past: Past, x: ArrayLike) -> tuple[Past, Array]:
        """Return the past after one more sample ``[B]``, and its logits ``[B, num_classes]``."""
        x = self._check(x, 1)
        queues, later = iter(past.queues), []

        def look_back(x: Array, dilation: int) -> Array:
            queue = next(queues)
            # Written before it is read, the queue of a loop stays where it is; the other way round it is copied.
            now = past.time % queue.shape[1]
            queue = jax.lax.dynamic_update_index_in_dim(queue, x.astype(queue.dtype), now, axis=1)
            later.append(queue)
            before = jnp.arange(self.kernel_size)[::-1] * dilation
            return queue[:, (past.time - before) % queue.shape[1]].astype(x.dtype)

        logits, _ = self._run(x, look_back)
        return Past(past.time + 1, tuple(later)), logits

    def _see_all(self, x: ArrayLike) -> tuple[Past, Array, dict[str, Array]]:
        """Run over ``[B, T]`` at once; return the past after it, the logits and the features."""
        x = self._check(x, 2)
        length, queues = x.shape[1], []

        def look_back(x: Array, dilation: int) -> Array:
            reach = (self.kernel_size - 1) * dilation
            padded = jnp.pad(x, ((0, 0), (reach + 1, 0), (0, 0)))
            queues.append(jnp.roll(padded[:, length:], length, axis=1))
            starts = range(1, reach + 2, dilation)
            return jnp.stack([padded[:, start : start + length] for start in starts], axis=2)

        logits, out = self._run(x, look_back)
        return Past(jnp.asarray(length, jnp.int32), tuple(queues)), logits, out

    @nn.compact
    def _run(self, x: Array, look_back: Callable[[Array, int], Array]) -> tuple[Array, dict[str, Array]]:
        """Map samples ``[...]`` to logits ``[..., num_classes]`` and features.

        ``look_back(x, d)`` is ``[..., F, C]``, the ``F`` samples that a layer sees.
        """
        dense, out = partial(nn.Dense, dtype=self.dtype), {}
        embed = nn.Embed(self.num_classes, self.residual_features, dtype=self.dtype, name="embedding")
        x = out["embedding"] = embed(x)
        layers, total = self.layers(), 0
        for number, (name, dilation) in enumerate(layers.items(), 1):
            last = number == len(layers)
            layer = GatedLayer(self.gate_features, self.skip_features, last, dtype=self.dtype, name=name)
            x, skip = layer(look_back(x, dilation))
            out[name], total = x, total + skip
        x = out["skip"] = relu(total)
        x = out["dense"] = relu(dense(self.skip_features, name="dense")(x))
        return dense(self.num_classes, name="output")(x), out

    def _check(self, x: ArrayLike, ndim: int) -> Array:
        x, form = jnp.asarray(x), {1: "[B]", 2: "[B, T]"}[ndim]
        if x.ndim != ndim or not jnp.issubdtype(x.dtype, jnp.integer):
            raise ValueError(
                f"WaveNet expects samples {form}, integers in [0, {self.num_classes}), which mu_law_encode makes of "
                f"sound; came {x.shape} of {x.dtype}"
            )
        return x


class GatedLayer(nn.Module):
    """``z = tanh(W_f * x) sigmoid(W_g * x)``, and of it ``x + W_r z`` and ``s = W_s z``."""

    features: int
    skip_features: int
    last: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(self, seen: Array) -> tuple[Array, Array]:
        """Return the new ``x [..., C]``, or ``z`` if this is the last layer, and ``s [..., S]``.

        Args:
            seen: the samples under the kernel, ``[..., F, C]``, the last of them ``x``.
        """
        conv = partial(Conv, self.features, (seen.shape[-2],), form="patches", dtype=self.dtype)
        dense, x = partial(nn.Dense, dtype=self.dtype), seen[..., -1, :]
        z = (tanh(conv(name="filter")(seen)) * sigmoid(conv(name="gate")(seen)))[..., 0, :]
        y = z if self.last else x + dense(x.shape[-1], name="residual")(z)
        return y, dense(self.skip_features, name="skip")(z)


register(
    "wavenet",
    WaveNet,
    input_shape=(1024,),
    input_dtype="int32",
    description="WaveNet of one stack of dilations 1 to 512, which sees 1,024 samples",
)
