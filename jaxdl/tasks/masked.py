"""Masked language modelling (Devlin et al., 2019): predict hidden tokens of a text from those on both sides."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from jaxdl import losses, metrics
from jaxdl.arrays import fit_mask
from jaxdl.checks import check_in_range, check_indices
from jaxdl.metrics import Mean
from jaxdl.nn.recurrent.inputs import valid_steps
from jaxdl.tasks.language import Perplexity
from jaxdl.tasks.task import (
    CountedLoss,
    Task,
    Variables,
    apply_in_evaluation,
    apply_in_training,
    check_names,
    init_model,
)
from jaxdl.typing import Array, ArrayLike, Batch, Key


class MaskedTokens(NamedTuple):
    """A text with hidden tokens.

    Attributes:
        inputs: what a model reads, ``[B, T]``.
        is_selected: the tokens to predict, Booleans ``[B, T]``.
    """

    inputs: Array
    is_selected: Array


def mask_tokens(
    key: Key,
    tokens: ArrayLike,
    *,
    mask_id: int,
    vocab_size: int,
    mask: ArrayLike | None = None,
    special_ids: Sequence[int] = (),
    rate: float = 0.15,
) -> MaskedTokens:
    """Select each token with the probability ``rate``; hide 80 % of them, exchange 10 %, and leave 10 % as they are.

    A hidden token becomes ``mask_id``, an exchanged one any token of the vocabulary that is not special, with equal
    probabilities. Special tokens and padding are never selected. The choice in a row depends on the key and on the
    tokens of the row alone, and not on other rows of the batch.

    Args:
        key: of the choice; another one in every step makes the masking dynamic (Liu et al., 2019).
        tokens: ``[B, T]``.
        mask_id: the token for a hidden one; it is special.
        vocab_size: ``V``.
        mask: ``[B, T]``, 0 for padding.
        special_ids: tokens that are no part of the text, such as the padding, the first token and the separator.
        rate: the share of selected tokens.

    Raises:
        ValueError: a special token is outside of the vocabulary, all tokens are special, or the rate is not in [0, 1].

    >>> tokens = jnp.array([[1, 5, 6, 7, 2, 0]])
    >>> masked = mask_tokens(jax.random.key(0), tokens, mask_id=3, vocab_size=9, special_ids=(0, 1, 2), rate=1.0)
    >>> masked.is_selected.astype(int).tolist()
    [[0, 1, 1, 1, 0, 0]]
    """
    check_in_range("rate", rate, 0.0, 1.0)
    special = np.unique(np.asarray([mask_id, *special_ids], int))
    check_indices("special_ids", special, vocab_size)
    words = np.setdiff1d(np.arange(vocab_size), special)
    if not words.size:
        raise ValueError(f"expected tokens beside the special ones, got {vocab_size} tokens and all of them special")
    tokens = jnp.asarray(tokens)
    is_text = ~jnp.any(tokens[..., None] == special[None, None], axis=-1)
    if mask is not None:
        is_text &= jnp.asarray(mask) != 0
    length, prints = tokens.shape[1], _fingerprints(jnp.where(is_text, tokens, 0))
    keys = jax.vmap(lambda number: jax.random.split(jax.random.fold_in(key, number)))(prints)  # [B, 2]
    uniform = jax.vmap(lambda key: jax.random.uniform(key, (length,)))(keys[:, 0])
    drawn = jax.vmap(lambda key: jax.random.choice(key, words, (length,)))(keys[:, 1]).astype(tokens.dtype)
    is_selected = is_text & (uniform < rate)
    changed = jnp.where(uniform < 0.8 * rate, mask_id, jnp.where(uniform < 0.9 * rate, drawn, tokens))
    return MaskedTokens(jnp.where(is_selected, changed, tokens), is_selected)


def masked_language_model(
    model: linen.Module,
    *,
    mask_id: int,
    vocab_size: int,
    evaluation_key: Key,
    special_ids: Sequence[int] = (),
    rate: float = 0.15,
) -> Task:
    """Learn ``p(x_t | masked x)`` of the tokens that `mask_tokens` selects, by the mean cross-entropy in nats.

    Batches have ``"token"`` ``[B, T]``, and may have ``"length"`` ``[B]``, ``"segment"`` ``[B, T]`` and ``"mask"``,
    ``[B]`` or ``[B, T]``: padding and rows whose mask is 0 are neither selected nor read. Every step of the training
    masks anew; evaluation masks a text always in the same way. Where a batch is processed in parts, each is weighted by
    its number of valid tokens.

    Training reports ``accuracy``; evaluation ``loss``, ``accuracy`` and ``perplexity``, all over selected tokens.

    Args:
        model: ``model.apply(variables, tokens, mask=..., train=...)`` returns logits ``[B, T, V]``, as
            ``BERT("masked_language_model")`` does.
        mask_id: see `mask_tokens`.
        vocab_size: ``V``.
        evaluation_key: of the masks of evaluation.
        special_ids: see `mask_tokens`.
        rate: see `mask_tokens`.

    Raises:
        ValueError: when a function of the task is traced, a batch lacks the tokens; or as for `mask_tokens`.
    """

    def hide(key: Key, batch: Batch) -> tuple[MaskedTokens, dict[str, Any]]:
        check_names(batch, ["token"])
        valid = token_mask(batch)
        tokens = jnp.where(valid, batch["token"], 0)
        masked = mask_tokens(
            key, tokens, mask_id=mask_id, vocab_size=vocab_size, mask=valid, special_ids=special_ids, rate=rate
        )
        options = {"mask": valid.astype(jnp.float32)}
        return masked, options | ({"segment": batch["segment"]} if "segment" in batch else {})

    def init(key: Key, batch: Batch) -> Variables:
        masked, options = hide(evaluation_key, batch)
        return init_model(model, key, masked.inputs, **options)

    def loss(variables: Variables, batch: Batch, key: Key) -> tuple[Array, tuple[Variables, dict[str, Array]]]:
        mask_key, dropout_key = jax.random.split(key)
        masked, options = hide(mask_key, batch)
        logits, collections = apply_in_training(model, variables, masked.inputs, dropout_key, **options)
        labels = jnp.where(masked.is_selected, batch["token"], 0)
        value = losses.cross_entropy(logits, labels, mask=masked.is_selected)
        right = metrics.mean(metrics.correct(logits, labels), masked.is_selected)
        return value, (collections, {"accuracy": right.value})

    def measure(variables: Variables, batch: Batch) -> dict[str, Mean]:
        masked, options = hide(evaluation_key, batch)
        logits = apply_in_evaluation(model, variables, masked.inputs, **options)
        labels = jnp.where(masked.is_selected, batch["token"], 0)
        nats = metrics.mean(losses.cross_entropy(logits, labels, reduction="none"), masked.is_selected)
        right = metrics.mean(metrics.correct(logits, labels), masked.is_selected)
        return {"loss": nats, "accuracy": right, "perplexity": Perplexity(*nats)}

    return Task(init, CountedLoss(loss, lambda batch: jnp.sum(token_mask(batch), dtype=jnp.float32)), measure)


def _fingerprints(tokens: Array) -> Array:
    """Hash the rows of ``[B, T]`` to 32 bits each, ``[B]``, by the mixing steps of MurmurHash3 (Appleby, 2011)."""
    places = jnp.arange(tokens.shape[1], dtype=jnp.uint32)[None]
    x = tokens.astype(jnp.uint32) * np.uint32(0xCC9E2D51) + places * np.uint32(0x1B873593)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ (x >> shift)) * np.uint32(factor)
    return jnp.sum(x ^ (x >> 16), axis=1, dtype=jnp.uint32)


def token_mask(batch: Batch) -> Array:
    """Return the valid tokens of a batch, Booleans ``[B, T]``, from its lengths and its mask.

    >>> token_mask({"token": jnp.zeros((2, 3), int), "length": jnp.array([2, 3]), "mask": jnp.array([1, 0])}).tolist()
    [[True, True, False], [False, False, False]]
    """
    shape = batch["token"].shape
    mask = jnp.broadcast_to(fit_mask(batch.get("mask", jnp.ones(shape)), shape), shape) != 0
    return mask & valid_steps(batch["length"], shape[1]) if "length" in batch else mask
