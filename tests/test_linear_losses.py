"""Cross-entropy of linear logits by chunks against that of all logits and torch, and its memory."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from jaxdl import losses, tasks
from jaxdl.models.transformers.gpt import GPT
from jaxdl.train import parallel
from tests.peers import torch
from tests.variables import draw

B, T, D, V = 2, 7, 5, 11


def example(dtype=np.float64):
    random = np.random.default_rng(0)
    arrays = random.normal(size=(B, T, D)), random.normal(size=(D, V)), random.normal(size=V)
    return [x.astype(dtype) for x in arrays], random.integers(0, V, (B, T))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_value_and_gradient_are_those_of_all_logits_and_of_torch(smoothing):
    (h, W, b), labels = example()
    mask = np.ones((B, T))
    mask[0, 4:], mask[1, 0] = 0, 2
    hidden = np.where(mask[..., None] == 0, np.nan, h)
    options = {"mask": mask, "label_smoothing": smoothing}
    labels[0, 5] = -100

    def chunked(h, W, b):
        return losses.linear_cross_entropy(h, W, labels, bias=b, chunks=3, **options)

    def whole(h, W, b):
        return losses.cross_entropy(h @ W + b[None, None], labels, **options)

    run = jax.jit(lambda *x: [jax.value_and_grad(f, argnums=(0, 1, 2))(*x) for f in (chunked, whole)])
    mine, reference = run(hidden, W, b)[0], run(h, W, b)[1]
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-13), mine, reference)

    leaves = [torch().tensor(x, requires_grad=True) for x in (h, W, b)]
    logits = (leaves[0] @ leaves[1] + leaves[2]).reshape(-1, V)
    targets, weights = torch().tensor(np.where(mask == 0, 0, labels).ravel()), torch().tensor(mask.ravel())
    nats = torch().nn.functional.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
    value = (nats * weights).sum() / weights.sum()
    value.backward()
    np.testing.assert_allclose(mine[0], value.item(), rtol=1e-10)
    for gradient, leaf in zip(mine[1], leaves, strict=True):
        np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_half_precision_is_summed_wide():
    (h, W, _), labels = example(jnp.bfloat16)
    loss = partial(losses.linear_cross_entropy, labels=labels, chunks=2)
    value, (dh, dW) = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(h, W.astype(np.float32))
    wide = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(h.astype(np.float32), W.astype(np.float32))
    assert (value.dtype, dh.dtype, dW.dtype) == (jnp.float32, jnp.bfloat16, jnp.float32)
    np.testing.assert_allclose(value, wide[0], rtol=1e-5)
    np.testing.assert_allclose(dh.astype(np.float32), wide[1][0], atol=2e-3)
    np.testing.assert_allclose(dW, wide[1][1], atol=2e-3)


def test_labels_outside_give_nan_where_traced():
    (h, W, _), labels = example(np.float32)
    run = jax.jit(partial(losses.linear_cross_entropy, reduction="none", chunks=2))
    labels[1, 3] = V
    np.testing.assert_array_equal(np.isnan(run(h, W, labels)), labels == V)
    with pytest.raises(ValueError, match="got 11"):
        losses.linear_cross_entropy(h, W, labels)
    for wrong, match in ((W.T, r"\(11, 5\)"), (W[0], r"\(11,\)")):
        with pytest.raises(ValueError, match=match):
            losses.linear_cross_entropy(h, wrong, labels)
    with pytest.raises(ValueError, match="got float32"):
        losses.linear_cross_entropy(h, W, np.ones((B, T, V), np.float32))


@pytest.mark.usefixtures("float64")
def test_devices_that_have_rows_of_their_own():
    """Under the checks of ``shard_map``: the gradient of weights that all devices share is the sum of theirs."""
    (h, W, b), labels = example()

    def loss(h, W, b, labels):
        return losses.linear_cross_entropy(h, W, labels, bias=b, chunks=3)

    gradient = jax.value_and_grad(loss, argnums=(0, 1, 2))

    def share(*arrays):
        value, slopes = gradient(*arrays)
        return jax.lax.pmean(value, "data"), jax.tree.map(lambda leaf: leaf / B, slopes)

    rows, whole = PartitionSpec("data"), PartitionSpec()
    specs = {"in_specs": (rows, whole, whole, rows), "out_specs": (whole, (rows, whole, whole))}
    mapped = jax.shard_map(share, mesh=parallel.make_mesh({"data": B}), **specs)
    mine, alone = jax.jit(lambda *x: (mapped(*x), gradient(*x)))(h, W, b, labels)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-15), mine, alone)


def test_no_array_has_all_logits(key):
    """The temporaries of the gradient of a language model with a large vocabulary, compiled and not run."""
    model = GPT(8000, 256, d_model=8, num_layers=1, num_heads=1, dropout_rate=0.0, attention_dropout_rate=0.0)
    form = jax.ShapeDtypeStruct((4, 256), jnp.int32)
    variables = jax.eval_shape(model.init, key, form)
    loss = tasks.language_model(model).loss

    def gradient(params, x, y):
        return jax.grad(lambda p: loss({"params": p}, {"token": x, "target": y}, key)[0])(params)

    compiled = jax.jit(gradient).lower(variables["params"], form, form).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * 256 * 8000 * 4  # bytes of the logits in float32


def test_the_task_has_the_loss_of_the_logits(key):
    model = GPT(V, T, d_model=8, num_layers=1, num_heads=1, dropout_rate=0.0, attention_dropout_rate=0.0)
    x, (_, labels) = np.random.default_rng(1).integers(0, V, (B, T)), example()
    variables = draw(model.init, key, x)
    mask = np.array([[1] * T, [1] * 3 + [0] * (T - 3)])
    batch = {"token": x, "target": np.where(mask == 1, labels, -1), "mask": mask}
    task = tasks.language_model(model)

    @jax.jit
    def run(variables):
        logits = model.apply(variables, x)
        whole = losses.cross_entropy(logits, labels, mask=mask)
        return whole, task.loss(variables, batch, key)[0], task.measure(variables, batch)["loss"].value

    whole, trained, measured = run(variables)
    np.testing.assert_allclose([trained, measured], [whole] * 2, rtol=1e-6)
