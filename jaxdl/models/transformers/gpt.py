"""GPT (Radford et al., 2018; GPT-2, 2019): a stack of causal blocks that predicts the next token."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.checks import renamed_fields
from jaxdl.losses import linear_cross_entropy
from jaxdl.models.layers import Embed, check_tokens, collect
from jaxdl.models.registry import register
from jaxdl.models.scanning import Remat
from jaxdl.models.transformers.block import RENAMED_FIELDS, Block, check_depth, run_blocks
from jaxdl.nn.attention.cache import Cache, init_cache
from jaxdl.nn.attention.multi_head import split_heads
from jaxdl.nn.initializers import normal
from jaxdl.nn.noise import Dropout
from jaxdl.nn.normalization import LayerNorm
from jaxdl.typing import Array, ArrayLike

Output = Array | tuple[Array, dict[str, Any]]
Carry = tuple[Cache, ...]


@renamed_fields(
    vocabulary="vocab_size",
    context="context_length",
    features="d_model",
    depth="num_layers",
    **RENAMED_FIELDS,
)
class GPT(linen.Module):
    """A model of the probability of a text, token by token::

        z_0 = E[x] + P                       E  embedding/embedding [V, D], P  positions [T_max, D], both learned
        z_l = block_l(z_(l-1))               norms first, causal
        p(x_(t+1) | x_1 .. x_t) = softmax(norm(z_L) E^T)

    The output shares the weights of the embedding. Intermediates are ``embedded`` (``z_0``), ``decoder_block1``
    (``z_1``), ``decoder_block1_attention`` (its weights ``[B, H, T, T]``) and so on, ``encoded`` (``norm(z_L)``), and
    with a carry the next ``carry``.

    The carry holds the keys and values of the tokens so far, one cache a block, so that a step costs one token. One
    pass reads a prompt::

        carry = model.init_carry((B,))
        _, intermediates = model.apply(variables, prompt[:, :-1], carry, return_intermediates=True)
        step_fn = models.step_function(model, variables)
        decode.greedy(step_fn, intermediates["carry"], prompt[:, -1], max_length=20)

    Prompt and generated tokens share the room of the carry, at most ``context_length``; logits beyond are nan, where
    ``decode`` ends. There is no mask, and one count of tokens for all rows: a pass reads prompts of one length.
    ``decode.greedy`` with ``prompt_lengths`` reads those of different lengths, token by token.

    Args:
        vocab_size: ``V``.
        context_length: the number of positions, ``T_max``.
        d_model: ``D``.
        num_layers: ``L``.
        num_heads: ``H``; they divide ``D``.
        mlp_dim: hidden size of the MLP of a block; None for ``4 D``.
        dropout_rate: of ``z_0`` and of the branches of a block.
        attention_dropout_rate: of the weights of attention.
        epsilon: of the norms.
        activation: of the MLP.
        scan_blocks: compile all blocks but the first once; such a model takes no carry.
        remat: what the backward pass of a block finds in memory, see `jaxdl.models.scanning.rematerialize`.
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
    activation: str = "gelu_tanh"
    scan_blocks: bool = False
    remat: Remat = "none"
    dtype: Any = None

    def __call__(
        self, x: ArrayLike, carry: Carry | None = None, train: bool = False, return_intermediates: bool = False
    ) -> Output:
        """Compute the logits ``[B, T, V]`` of the token after each of the tokens ``[B, T]``.

        Raises:
            ValueError: the tokens are no integers ``[B, T]``, or more than the context, the carry does not fit them, or
                there is no block.
        """
        z, embedding, out = self._encode(x, carry, train, return_intermediates)
        logits = embedding.attend(z)
        return (logits, out) if return_intermediates else logits

    def token_losses(self, x: ArrayLike, targets: ArrayLike, train: bool = False) -> Array:
        """Compute ``-ln p(y_t | x_1 .. x_t)`` in nats for targets ``y`` ``[B, T]``, without an array of all logits.

        Returns:
            ``[B, T]``, see `jaxdl.losses.linear_cross_entropy`.
        """
        z, embedding, _ = self._encode(x, None, train, False)
        return linear_cross_entropy(z, embedding.embedding.T, targets, reduction="none")

    @linen.compact
    def _encode(
        self, x: ArrayLike, carry: Carry | None, train: bool, return_intermediates: bool
    ) -> tuple[Array, Embed, dict[str, Any]]:
        """Compute ``norm(z_L)`` ``[B, T, D]``; return also the embedding, and the intermediates."""
        x = check_tokens("x", x, context_length=self.context_length)
        check_depth(self.num_layers)
        embedding = Embed(
            self.vocab_size, self.d_model, embedding_init=normal(0.02), dtype=self.dtype, name="embedding"
        )
        table = self.param("positions", normal(0.02), (self.context_length, self.d_model), jnp.float32)
        z = embedding(x)
        first = carry[0].length if carry else 0
        positions = jax.lax.dynamic_slice_in_dim(table, first, x.shape[1]).astype(z.dtype)
        out: dict[str, Any] = {}
        z = collect(out, "embedded", Dropout(self.dropout_rate)(z + positions[None], train=train))
        block = partial(
            Block,
            self.num_heads,
            self.mlp_dim or 4 * self.d_model,
            causal=True,
            activation=self.activation,
            dropout_rate=self.dropout_rate,
            mlp_dropout_rate=0.0,
            attention_dropout_rate=self.attention_dropout_rate,
            epsilon=self.epsilon,
            kernel_init=normal(0.02),
            output_init=normal(0.02 / (2 * self.num_layers) ** 0.5),  # the sum of all branches has the scale of one
            fused=True,
            dtype=self.dtype,
        )
        z, intermediates = run_blocks(
            block,
            "decoder",
            self.num_layers,
            z,
            train,
            caches=carry,
            scan=self.scan_blocks,
            remat=self.remat,
            return_weights=return_intermediates,
        )
        out |= intermediates
        return collect(out, "encoded", LayerNorm(epsilon=self.epsilon, name="norm")(z)), embedding, out

    def init_carry(self, batch_shape: Sequence[int] = (), max_length: int | None = None, dtype: Any = None) -> Carry:
        """Make empty caches for ``max_length`` tokens, by default ``context_length``.

        A shorter cache makes every step faster. Where a cache is too short, all logits are nan from the first token
        without room on, see `jaxdl.nn.attention.extend_cache`.

        Args:
            batch_shape: ``(B,)``.
            max_length: the maximum length of prompt and generated tokens together.
            dtype: of keys and values; None for that of the computation, or else JAX's default, float32, or float64 with
                ``jax_enable_x64``.

        Raises:
            ValueError: ``max_length`` exceeds the context, or the heads do not divide ``d_model``.
        """
        max_length = self.context_length if max_length is None else max_length
        if max_length > self.context_length:
            raise ValueError(f"expected max_length <= context_length = {self.context_length}, got {max_length}")
        num_heads, head_dim = split_heads(self.d_model, self.num_heads)
        cache = init_cache(batch_shape, num_heads, max_length, head_dim, self.dtype if dtype is None else dtype)
        return (cache,) * self.num_layers

    def step(self, carry: Carry, token: Array) -> tuple[Carry, Array]:
        """Map the carry and a token ``[B]`` to the next carry and logits ``[B, V]``."""
        logits, out = self(token[:, None], carry, return_intermediates=True)
        return out["carry"], logits[:, 0]


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
