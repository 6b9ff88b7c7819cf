"""Networks over pairs against torch in float64: decomposable attention, and stacked attention to an image."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import decode, losses
from jaxdl.models import DecomposableAttention, StackedAttentionNetwork, TransformerCaptioner, step_function
from jaxdl.nn.recurrent.cells import GRU
from tests import peers
from tests.variables import draw

rng = np.random.default_rng(0)
FIRST, SECOND = rng.integers(0, 6, (3, 5)), rng.integers(0, 6, (3, 4))
LENGTHS = np.array([5, 2, 3]), np.array([1, 4, 2])
LABELS = np.array([0, 2, 1])
IMAGE = rng.normal(size=(3, 2, 3, 4))
close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-11)


def leaves_of(torch, variables):
    return jax.tree.map(lambda leaf: torch.tensor(np.array(leaf, np.float64), requires_grad=True), variables["params"])


def gradients(model, variables, *arguments):
    """Gradients of the cross-entropy and logits of ours."""

    @jax.jit
    def run(params, *arguments):
        def loss(params):
            logits = model.apply({"params": params}, *arguments)
            return losses.cross_entropy(logits, LABELS), logits

        return jax.grad(loss, has_aux=True)(params)

    return run(jax.tree.map(np.float64, variables["params"]), *arguments)


@pytest.mark.usefixtures("float64")
def test_decomposable_attention_matches_torch():
    torch = peers.torch()
    model = DecomposableAttention(6, 3, embedding_dim=3, hidden_size=4)
    variables = draw(model.init, jax.random.key(0), FIRST, SECOND, *LENGTHS)
    p = leaves_of(torch, variables)

    def mlp(name, x):
        for number in (1, 2):
            x = torch.relu(x @ p[f"{name}{number}"]["kernel"] + p[f"{name}{number}"]["bias"])
        return x

    logits = []
    for row in range(3):  # one pair at a time, without padding
        a, b = (
            p["embedding"]["embedding"][torch.tensor(each[row, : length[row]])]
            for each, length in zip((FIRST, SECOND), LENGTHS, strict=True)
        )
        scores = mlp("attend", a) @ mlp("attend", b).T
        beta, alpha = torch.softmax(scores, 1) @ b, torch.softmax(scores.T, 1) @ a
        sums = [mlp("compare", torch.cat(pair, -1)).sum(0) for pair in ((a, beta), (b, alpha))]
        logits.append(mlp("aggregate", torch.cat(sums)) @ p["output"]["kernel"] + p["output"]["bias"])
    expected = torch.stack(logits)
    torch.nn.functional.cross_entropy(expected, torch.tensor(LABELS)).backward()
    gradient, ours = gradients(model, variables, FIRST, SECOND, *LENGTHS)
    close(ours, expected.detach())
    jax.tree.map(lambda x, y: close(x, y.grad), gradient, p)


@pytest.mark.usefixtures("float64")
def test_stacked_attention_matches_torch():
    torch = peers.torch()
    model = StackedAttentionNetwork(6, 3, None, GRU(3), embedding_dim=3, attention_dim=5)
    variables = draw(model.init, jax.random.key(0), FIRST, IMAGE, LENGTHS[0])
    p = leaves_of(torch, variables)
    options = {"return_intermediates": True}
    _, out = jax.jit(partial(model.apply, **options))(
        jax.tree.map(np.float64, variables), FIRST, IMAGE, lengths=LENGTHS[0]
    )
    v = torch.tanh(torch.tensor(IMAGE.reshape(3, 6, 4)) @ p["positions"]["kernel"] + p["positions"]["bias"])
    u, hops = torch.tensor(np.array(out["question"])), []
    for hop in ("attention1", "attention2"):
        own = p[hop]["score"]
        hidden = torch.tanh((u @ own["query_kernel"])[:, None] + v @ own["key_kernel"])
        hops.append(torch.softmax(hidden @ own["vector"], -1))
        u = u + torch.einsum("bs,bsd->bd", hops[-1], v)
    expected = u @ p["output"]["kernel"] + p["output"]["bias"]
    torch.nn.functional.cross_entropy(expected, torch.tensor(LABELS)).backward()
    gradient, ours = gradients(model, variables, FIRST, IMAGE, LENGTHS[0])
    close(ours, expected.detach())
    for number, weights in enumerate(hops, 1):
        close(out[f"attention{number}"], weights.detach())
    for name in ("positions", "attention1", "attention2", "output"):
        jax.tree.map(lambda x, y: close(x, y.grad), gradient[name], p[name])
    junk = np.where(np.arange(5) < LENGTHS[0][:, None], FIRST, 5)
    close(gradients(model, variables, junk, IMAGE, LENGTHS[0])[1], ours)


def test_a_transformer_captions_step_by_step_as_at_once():
    model = TransformerCaptioner(7, None, d_model=4, num_layers=1, num_heads=2)
    image = IMAGE.astype(np.float32)
    variables = jax.tree.map(lambda x: 3 * x, draw(model.init, jax.random.key(0), image, FIRST))

    @jax.jit
    def run(image):
        carry = model.apply(variables, image, max_length=4, method="init_carry")
        tokens = decode.greedy(step_function(model, variables), carry, jnp.full(3, 2), max_length=4).tokens
        target_in = jnp.concatenate([jnp.full((3, 1), 2), tokens[:, :-1]], axis=1)
        logits, out = model.apply(variables, image, target_in, return_intermediates=True)
        return tokens, logits, out["attention"]

    tokens, logits, attention = run(image)
    np.testing.assert_array_equal(tokens, np.argmax(logits, axis=-1))
    np.testing.assert_allclose(attention.sum(axis=-1), 1, rtol=1e-5)
    assert np.abs(run(2 * image)[1] - logits).max() > 1e-3


@pytest.mark.parametrize(
    ("model", "arguments", "got"),
    [
        (DecomposableAttention(6), (FIRST, SECOND[:2]), r"got \(3, 5\) and \(2, 4\)"),
        (StackedAttentionNetwork(6, 2), (FIRST, IMAGE[:2]), r"got \(3, 5\) and \(2, 2, 3, 4\)"),
        (StackedAttentionNetwork(6, 2, num_hops=0), (FIRST, IMAGE), "got 0"),
        (TransformerCaptioner(6), (IMAGE[:2], FIRST), r"got \(2, 2, 3, 4\) and \(3, 5\)"),
    ],
)
def test_unequal_pairs_are_errors(model, arguments, got):
    with pytest.raises(ValueError, match=got):
        jax.eval_shape(model.init, jax.random.key(0), *arguments)
