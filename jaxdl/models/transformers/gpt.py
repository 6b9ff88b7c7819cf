"""GPT (Radford et al., 2018; GPT-2, 2019): a stack of blocks that tells the next token from all before it."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdl.models.layers import check_tokens
from jaxdl.models.registry import register
from jaxdl.models.transformers.block import Block, check_depth, run_blocks
from jaxdl.nn.attention import cache as attention_cache
from jaxdl.nn.attention.cache import Cache
from jaxdl.nn.initializers import normal
from jaxdl.nn.noise import Dropout
from jaxdl.nn.normalization import LayerNorm
from jaxdl.typing import Array, ArrayLike

Output = Array | tuple[Array, dict[str, Any]]
Carry = tuple[Cache, ...]


class GPT(nn.Module):
    """The probability of a text, token by token::

        z_0 = E[x] + P                       E  embedding/embedding [V, D], P  positions [T_max, D], both learned
        z_l = block_l(z_(l-1))               norms first, each position sees those up to itself
        p(x_(t+1) | x_1 .. x_t) = softmax(norm(z_L) E^T)

    The output has the weights of the embedding. The features are ``embedded`` (``z_0``), ``decoder_block1`` (``z_1``),
    ``decoder_block1_attention`` (its weights, ``[B, heads, T, T]``) and so on, ``encoded`` (``norm(z_L)``), and where a
    carry was given ``carry``.

    The carry holds the keys and values of what was read, one cache a block:
    `jaxdl.models.sequence.language_model.step_function` makes of the model the step that ``decode`` takes, which costs
    one token. A prompt is read in one pass::

        carry = model.init_carry((B,))
        _, features = model.apply(variables, prompt[:, :-1], carry, return_intermediates=True)
        decode.greedy(step_function(model, variables), features["carry"], prompt[:, -1], length=20)

    Prompt and what is written find room in the carry, which has it for ``context_length`` tokens at most; logits beyond
    are nan, where ``decode`` ends. The prompts of a batch are of one length, with no padding among them: there is no
    mask, and one count of what was read for all rows. Prompts of other lengths are other batches.

    Args:
        vocab_size: ``V``.
        context_length: how many positions there are, ``T_max``.
        d_model: ``D``.
        num_layers: ``L``.
        num_heads: of attention; they divide ``D``.
        mlp_dim: units of the small network of a block; None for ``4 D``.
        dropout_rate: share that is dropped of ``z_0`` and of what is added to it in a block.
        attention_dropout_rate: share of the weights of attention that is dropped.
        epsilon: of the norms.
        scan_blocks: run all blocks but the first as one that is compiled once; such a model takes no carry.
        dtype: of the computation.

    >>> model = GPT(vocab_size=9, context_length=8, d_model=16, num_layers=2, num_heads=2)
    >>> logits, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.zeros((1, 5), int))
    >>> logits.shape, sorted(variables["params"])
    ((1, 5, 9), ['decoder_block1', 'decoder_block2', 'embedding', 'norm', 'positions'])
    """

    vocab_size: int = 50_257
    context_length: int = 1024
    d_model: int = 768
    num_layers: int = 12
    num_heads: int = 12
    mlp_dim: int | None = None
    dropout_rate: float = 0.1
    attention_dropout_rate: float = 0.1
    epsilon: float = 1e-5
    scan_blocks: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x: ArrayLike, carry: Carry | None = None, train: bool = False, return_intermediates: bool = False
    ) -> Output:
        """Return the logits ``[B, T, V]`` of what follows each of the tokens ``[B, T]``.

        Raises:
            ValueError: the tokens are no integers ``[B, T]``, or more than the context, the carry does not fit them, or
                there is no block.
        """
        x = check_tokens("x", x, context_length=self.context_length)
        check_depth(self.num_layers)
        embedding = nn.Embed(
            self.vocab_size, self.d_model, embedding_init=normal(0.02), dtype=self.dtype, name="embedding"
        )
        table = self.param("positions", normal(0.02), (self.context_length, self.d_model), jnp.float32)
        z = embedding(x)
        first = carry[0].length if carry else 0
        positions = jax.lax.dynamic_slice_in_dim(table, first, x.shape[1]).astype(z.dtype)
        out = {"embedded": Dropout(self.dropout_rate)(z + positions[None], train=train)}
        block = partial(
            Block,
            self.num_heads,
            self.mlp_dim or 4 * self.d_model,
            causal=True,
            activation="gelu_tanh",
            dropout_rate=self.dropout_rate,
            mlp_dropout_rate=0.0,
            attention_dropout_rate=self.attention_dropout_rate,
            epsilon=self.epsilon,
            kernel_init=normal(0.02),
            output_init=normal(0.02 / (2 * self.num_layers) ** 0.5),  # the sum of all branches is of the size of one
            fused=True,
            dtype=self.dtype,
        )
        z, seen = run_blocks(
            block, "decoder", self.num_layers, out["embedded"], train, caches=carry, scan=self.scan_blocks
        )
        out |= seen
        z = out["encoded"] = LayerNorm(epsilon=self.epsilon, name="norm")(z)
        logits = embedding.attend(z)
        return (logits, out) if return_intermediates else logits

    def init_carry(self, batch_shape: Sequence[int] = (), length: int | None = None, dtype: Any = None) -> Carry:
        """Return what is known before the first token: caches with room for ``length``, by default ``context_length``,
        tokens.

        A cache that is no longer than it need be makes every step faster; one that is too short makes all logits nan
        from the token on that finds no room, see `jaxdl.nn.attention_cache.extend`.

        Args:
            batch_shape: ``(B,)``.
            length: of the prompt and of what is written after it, together.
            dtype: of keys and values; None for that of the computation, and where there is none for JAX's default,
                float32, or float64 with ``jax_enable_x64``.

        Raises:
            ValueError: the context has no room for so many, or the heads do not divide the features.
        """
        length = self.context_length if length is None else length
        if length > self.context_length:
            raise ValueError(f"the context has room for {self.context_length} tokens; came length={length}")
        if self.num_heads < 1 or self.d_model % self.num_heads:
            raise ValueError(f"heads must divide the {self.d_model} features; got num_heads={self.num_heads}")
        dtype = self.dtype if dtype is None else dtype
        cache = attention_cache.empty(batch_shape, self.num_heads, length, self.d_model // self.num_heads, dtype)
        return (cache,) * self.num_layers


register("gpt2", GPT, input_shape=(1024,), input_dtype="int32", description="GPT-2, small: 124,439,808 parameters")
register(
    "gpt2_medium",
    GPT,
    input_shape=(1024,),
    input_dtype="int32",
    description="GPT-2, medium: 354,823,168 parameters",
    d_model=1024,
    num_layers=24,
    num_heads=16,
)
register(
    "gpt2_large",
    GPT,
    input_shape=(1024,),
    input_dtype="int32",
    description="GPT-2, large: 774,030,080 parameters",
    d_model=1280,
    num_layers=36,
    num_heads=20,
)
register(
    "gpt2_xl",
    GPT,
    input_shape=(1024,),
    input_dtype="int32",
    description="GPT-2, extra large: 1,557,611,200 parameters",
    d_model=1600,
    num_layers=48,
    num_heads=25,
)
register(
    "gpt_tiny",
    GPT,
    input_shape=(128,),
    input_dtype="int32",
    description="GPT for small experiments, over bytes: 842,496 parameters, no dropout",
    vocab_size=256,
    context_length=128,
    d_model=128,
    num_layers=4,
    num_heads=4,
    dropout_rate=0.0,
    attention_dropout_rate=0.0,
)
