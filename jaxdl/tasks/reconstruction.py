"""Autoencoding: reconstruction of an example from a code, deterministic, Gaussian, categorical or quantized."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl import metrics
from jaxdl.generative.autoencoding import Encoder
from jaxdl.generative.discrete import (
    categorical_kl_terms,
    codebook_perplexity,
    quantize_vectors,
    straight_through_gumbel_softmax,
)
from jaxdl.generative.likelihoods import bernoulli_log_likelihood
from jaxdl.generative.variational import (
    evidence_lower_bound,
    free_bits,
    importance_log_weights,
    importance_weighted_bound,
)
from jaxdl.metrics import Mean
from jaxdl.tasks.task import Task, Variables, apply_in_evaluation, apply_in_training, check_names, init_model
from jaxdl.typing import Array, Batch, Key

Likelihood = Callable[[Array, Array], Array]
"""``likelihood(output, x)`` returns the log-likelihood of each example, ``[B]``."""
Result = tuple[Array, tuple[Variables, dict[str, Array]]]


def autoencoding(
    model: linen.Module,
    *,
    inputs: str = "image",
    likelihood: Likelihood = bernoulli_log_likelihood,
    corrupt: Callable[[Key, Array], Array] | None = None,
    penalties: Sequence[Callable[[Encoder, Array, Array | None], Array]] = (),
) -> Task:
    """Learn to reconstruct ``x`` from a code, ``L = -ln p(x | model(corrupt(x))) + penalties``, averaged over examples.

    Batches have ``inputs`` (``[B, ...]``) and may have ``"mask"`` (``[B]``). Training reports ``reconstruction``, the
    first term; evaluation reports it as ``loss``, for inputs that are not corrupted, and ``squared_error``, the mean
    over all elements of ``(model(x) - x)^2``, with the sigmoid of the output for a Bernoulli likelihood.

    Args:
        model: ``model.apply(variables, x, train=...)`` returns logits or means of the shape of ``x``.
        inputs: the name of the model's input in a batch.
        likelihood: ``bernoulli_log_likelihood`` or ``gaussian_log_likelihood``.
        corrupt: ``corrupt(key, x)`` for a denoising autoencoder, such as `jaxdl.generative.masking_noise`.
        penalties: ``penalty(encode, x, mask)``, of a model with the method ``encode``: `jaxdl.generative.sparse` and
            `jaxdl.generative.contractive` make them.
    """

    def loss(variables: Variables, batch: Batch, key: Key) -> Result:
        check_names(batch, [inputs])
        corrupt_key, model_key = jax.random.split(key)
        x, mask = batch[inputs], batch.get("mask")
        given = corrupt(corrupt_key, x) if corrupt else x
        output, collections = apply_in_training(model, variables, given, model_key, rows=mask)
        value = metrics.mean(-likelihood(output, x), mask).value
        encode = partial(_apply, model, variables, method="encode")
        total = value + sum(penalty(encode, given, mask) for penalty in penalties)
        return total, (collections, {"reconstruction": value})

    def measure(variables: Variables, batch: Batch) -> dict[str, Mean]:
        check_names(batch, [inputs])
        return _measure(apply_in_evaluation(model, variables, batch[inputs]), batch, inputs, likelihood)

    return Task(_make_init(model, inputs), loss, measure)


def variational_autoencoding(
    model: linen.Module,
    key: Key,
    *,
    inputs: str = "image",
    likelihood: Likelihood = bernoulli_log_likelihood,
    beta: float = 1.0,
    least_nats: float = 0.0,
) -> Task:
    """Learn a latent variable model by the evidence lower bound (Kingma and Welling, 2014; Higgins et al., 2017)::

        L = -ln p(x | z) + beta sum_d max(least_nats, KL_d)            z ~ q(z | x)

    averaged over the examples, the divergences before the maximum: with free nats, the loss of a batch in parts is not
    that of the whole. Training reports ``reconstruction`` and ``kl``;
    evaluation reports as ``loss`` the negative bound with ``beta = 1`` for one sample of ``q``, and ``kl``.

    Args:
        model: has the methods ``encode(x)``, to means and logarithms of deviations ``[B, D]``, and ``decode(z)``.
        key: of the samples in evaluation, the same in every batch.
        inputs: the name of the model's input in a batch.
        likelihood: ``bernoulli_log_likelihood`` or ``gaussian_log_likelihood``.
        beta: weight of the divergence.
        least_nats: divergence of each latent variable that is free of cost, see `jaxdl.generative.free_bits`.
    """

    evaluation_key = key

    def bound(variables: Variables, x: Array, key: Key) -> Any:
        encode, log_likelihood = _parts(model, variables, likelihood)
        return evidence_lower_bound(encode, log_likelihood, x, _noise(encode, x, key))

    def loss(variables: Variables, batch: Batch, key: Key) -> Result:
        check_names(batch, [inputs])
        mask, parts = batch.get("mask"), bound(variables, batch[inputs], key)
        reconstruction = metrics.mean(-parts.log_likelihood, mask).value
        kl = jax.vmap(lambda each: metrics.mean(each, mask).value, in_axes=1)(parts.kl)
        value = reconstruction + beta * (free_bits(kl, least_nats) if least_nats else jnp.sum(kl))
        return value, (_collections(variables), {"reconstruction": reconstruction, "kl": jnp.sum(kl)})

    def measure(variables: Variables, batch: Batch) -> dict[str, Mean]:
        check_names(batch, [inputs])
        parts, mask = bound(variables, batch[inputs], evaluation_key), batch.get("mask")
        return {"loss": metrics.mean(-parts.value, mask), "kl": metrics.mean(jnp.sum(parts.kl, axis=-1), mask)}

    return Task(_make_init(model, inputs), loss, measure)


def importance_weighted_autoencoding(
    model: linen.Module,
    key: Key,
    *,
    inputs: str = "image",
    likelihood: Likelihood = bernoulli_log_likelihood,
    samples: int = 5,
) -> Task:
    """Learn a latent variable model by the importance-weighted bound of several samples (Burda et al., 2016).

    Batches, model and evaluation are those of `variational_autoencoding`, with this bound.
    """

    evaluation_key = key

    def bound(variables: Variables, x: Array, key: Key) -> Array:
        encode, log_likelihood = _parts(model, variables, likelihood)
        noise = jax.vmap(lambda key: _noise(encode, x, key))(jax.random.split(key, samples))
        return importance_weighted_bound(importance_log_weights(encode, log_likelihood, x, noise))

    def loss(variables: Variables, batch: Batch, key: Key) -> Result:
        check_names(batch, [inputs])
        value = metrics.mean(-bound(variables, batch[inputs], key), batch.get("mask")).value
        return value, (_collections(variables), {})

    def measure(variables: Variables, batch: Batch) -> dict[str, Mean]:
        check_names(batch, [inputs])
        return {"loss": metrics.mean(-bound(variables, batch[inputs], evaluation_key), batch.get("mask"))}

    return Task(_make_init(model, inputs), loss, measure)


def categorical_autoencoding(
    model: linen.Module,
    *,
    inputs: str = "image",
    likelihood: Likelihood = bernoulli_log_likelihood,
    temperature: float = 0.5,
) -> Task:
    """Learn categorical latent variables by the evidence lower bound, with straight-through Gumbel-softmax samples.

    Training reports ``reconstruction`` and ``kl``, the divergence from the uniform prior; evaluation reports ``loss``,
    the negative bound for the most probable categories, and ``kl``.

    Args:
        model: has the methods ``encode(x)``, to logits ``[B, N, K]``, and ``decode(z)`` of one-hot vectors.
        inputs: the name of the model's input in a batch.
        likelihood: ``bernoulli_log_likelihood`` or ``gaussian_log_likelihood``.
        temperature: of the samples' gradient.
    """

    def loss(variables: Variables, batch: Batch, key: Key) -> Result:
        check_names(batch, [inputs])
        x, mask = batch[inputs], batch.get("mask")
        encode, log_likelihood = _parts(model, variables, likelihood)
        logits = encode(x)
        z = straight_through_gumbel_softmax(key, logits, temperature)
        reconstruction = metrics.mean(-log_likelihood(x, z), mask).value
        kl = metrics.mean(jnp.sum(categorical_kl_terms(logits), axis=-1), mask).value
        return reconstruction + kl, (_collections(variables), {"reconstruction": reconstruction, "kl": kl})

    def measure(variables: Variables, batch: Batch) -> dict[str, Mean]:
        check_names(batch, [inputs])
        x, mask = batch[inputs], batch.get("mask")
        encode, log_likelihood = _parts(model, variables, likelihood)
        logits = encode(x)
        kl = jnp.sum(categorical_kl_terms(logits), axis=-1)
        z = jax.nn.one_hot(jnp.argmax(logits, axis=-1), logits.shape[-1])
        return {"loss": metrics.mean(kl - log_likelihood(x, z), mask), "kl": metrics.mean(kl, mask)}

    return Task(_make_init(model, inputs), loss, measure)


def quantized_autoencoding(
    model: linen.Module,
    *,
    inputs: str = "image",
    likelihood: Likelihood = bernoulli_log_likelihood,
    commitment: float = 0.25,
) -> Task:
    """Learn a codebook and an autoencoder whose code vectors are in it (van den Oord et al., 2017)::

        L = -ln p(x | e) + sum_positions |stop(z) - e|^2 + commitment |z - stop(e)|^2

    averaged over the examples; ``e`` are the vectors of the codebook that are nearest to the code ``z``. Training
    reports ``reconstruction`` and ``perplexity``, the effective number of vectors in use; evaluation as `autoencoding`.

    Args:
        model: has the methods ``encode(x)``, to ``[B, ..., D]``, ``vectors()``, the codebook ``[K, D]``, and
            ``decode(z)``.
        inputs: the name of the model's input in a batch.
        likelihood: ``bernoulli_log_likelihood`` or ``gaussian_log_likelihood``.
        commitment: weight of the last term.
    """

    def loss(variables: Variables, batch: Batch, key: Key) -> Result:
        check_names(batch, [inputs])
        x, mask = batch[inputs], batch.get("mask")
        encode, log_likelihood = _parts(model, variables, likelihood)
        codebook: Any = model.apply(variables, method="vectors")
        found = quantize_vectors(encode(x), codebook)
        reconstruction = metrics.mean(-log_likelihood(x, found.vectors), mask).value
        each = found.codebook_loss + commitment * found.commitment_loss
        total = metrics.mean(jnp.sum(each, axis=tuple(range(1, each.ndim))), mask).value
        rows = None if mask is None else jnp.broadcast_to(_align(mask, each), each.shape)
        perplexity = codebook_perplexity(found.indices, len(codebook), mask=rows)
        return reconstruction + total, (
            _collections(variables),
            {"reconstruction": reconstruction, "perplexity": perplexity},
        )

    def measure(variables: Variables, batch: Batch) -> dict[str, Mean]:
        check_names(batch, [inputs])
        return _measure(apply_in_evaluation(model, variables, batch[inputs]), batch, inputs, likelihood)

    return Task(_make_init(model, inputs), loss, measure)


def _make_init(model: linen.Module, inputs: str) -> Callable[[Key, Batch], Variables]:
    def init(key: Key, batch: Batch) -> Variables:
        check_names(batch, [inputs])
        return init_model(model, key, batch[inputs])

    return init


def _parts(model: linen.Module, variables: Variables, likelihood: Likelihood) -> tuple[Any, Callable[..., Array]]:
    """Return ``encode(x)`` and ``log_likelihood(x, z)`` of a model."""

    def log_likelihood(x: Array, z: Array) -> Array:
        return likelihood(_apply(model, variables, z, "decode"), x)

    return partial(_apply, model, variables, method="encode"), log_likelihood


def _apply(model: linen.Module, variables: Variables, x: Array, method: str) -> Any:
    return model.apply(variables, x, method=method)


def _noise(encode: Callable[[Array], Any], x: Array, key: Key) -> Array:
    """Draw standard normal noise of the shape of the latent vectors."""
    mean = jax.eval_shape(encode, x)[0]
    return jax.random.normal(key, mean.shape, mean.dtype)


def _measure(output: Any, batch: Batch, inputs: str, likelihood: Likelihood) -> dict[str, Mean]:
    x, mask = batch[inputs], batch.get("mask")
    x_hat = jax.nn.sigmoid(output) if likelihood is bernoulli_log_likelihood else output
    squares = jnp.mean(jnp.square(x_hat - x), axis=tuple(range(1, x.ndim)))
    return {"loss": metrics.mean(-likelihood(output, x), mask), "squared_error": metrics.mean(squares, mask)}


def _collections(variables: Variables) -> Variables:
    """Return what is no parameter, unchanged."""
    return {name: value for name, value in variables.items() if name != "params"}


def _align(mask: Array, x: Array) -> Array:
    return mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim))
