"""Luong's decoder against torch in float64: global and local attention, scores, input feeding; and as a generator."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import decode, losses
from jaxdl.models import LuongEncoderDecoder, step_function
from jaxdl.nn import gaussian_window, local_mask
from jaxdl.nn.attention.scores import ConcatScore, DotScore, GeneralScore
from jaxdl.nn.recurrent import cells
from jaxdl.pretrained.recurrent import load_torch
from tests import peers
from tests.variables import draw

pytestmark = pytest.mark.usefixtures("float64")
V, W, E, H, A = 7, 6, 3, 4, 5
SOURCE = np.array([[1, 4, 2, 5, 6, 0, 0], [3, 6, 1, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0, 0]], np.int32)
LENGTHS = np.array([5, 3, 1], np.int32)
TARGET = np.array([[4, 1, 5, 3], [2, 2, 3, 0], [5, 3, 0, 0]], np.int32)
TARGET_IN = np.array([[2, 4, 1, 5], [2, 2, 2, 3], [2, 5, 3, 0]], np.int32)
close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-11)
LUONG = partial(LuongEncoderDecoder, V, W, cells.LSTM(H), E, half_width=2)
MODELS = {
    "global": LUONG(num_layers=2, score=GeneralScore(), attentional_size=A),
    "monotonic": LUONG(score=DotScore(), locality="monotonic"),
    "predictive": LUONG(score=ConcatScore(5), locality="predictive", input_feeding=False),
}


def their_score(torch, model, p, h, states):
    """Scores ``[B, S]`` of ``h`` ``[B, H]`` for the states ``[B, S, H]``, by the formulas of the paper."""
    if isinstance(model.score, DotScore):
        return torch.einsum("bh,bsh->bs", h, states)
    if isinstance(model.score, GeneralScore):
        return torch.einsum("bh,he,bse->bs", h, p["kernel"], states)
    both = torch.cat([h[:, None].expand_as(states), states], -1)
    return torch.tanh(both @ p["kernel"]) @ p["vector"]


def their_decoder(torch, model, d, layers, states, summary):
    """The logits of the paper's decoder, step by step."""
    S, D = torch.arange(SOURCE.shape[1]), model.half_width
    lengths = torch.tensor(LENGTHS)[:, None]
    parts = torch.tanh(summary @ d["initial"]["kernel"] + d["initial"]["bias"]).split(H, -1)
    carries = [(parts[2 * n + 1], parts[2 * n]) for n in range(model.num_layers)]
    width = d["attentional"]["attentional_kernel"].shape[1]
    fed, logits, weights = torch.zeros(len(SOURCE), width, dtype=torch.float64), [], []
    for t, token in enumerate(TARGET_IN.T):
        x = d["embedding"]["embedding"][torch.tensor(token)]
        x = torch.cat([x, fed], -1) if model.input_feeding else x
        for n, layer in enumerate(layers):
            carries[n] = layer(x, carries[n])
            x = carries[n][0]
        hidden = lengths <= S
        if model.locality == "monotonic":
            hidden = hidden | ((S - t).abs() > D)
        if model.locality == "predictive":
            p = d["attentional"]
            center = lengths * torch.sigmoid(torch.tanh(x @ p["position_kernel"]) @ p["position_vector"])[:, None]
            hidden = hidden | ((S - center).abs() > D)
        scores = their_score(torch, model, d.get("score"), x, states).masked_fill(hidden, -torch.inf)
        a = torch.softmax(scores, -1).nan_to_num(0.0)  # a window without a word: no context
        if model.locality == "predictive":
            a = a * torch.exp(-((S - center) ** 2) / (2 * (D / 2) ** 2))
        weights.append(a)
        context = torch.einsum("bs,bse->be", a, states)
        fed = torch.tanh(torch.cat([context, x], -1) @ d["attentional"]["attentional_kernel"])
        logits.append(fed @ d["output"]["kernel"] + d["output"]["bias"])
    return torch.stack(logits, 1), torch.stack(weights, 1)


@pytest.mark.parametrize("name", MODELS)
def test_logits_weights_and_gradients_match_torch(name):
    torch, model = peers.torch(), MODELS[name]
    params = jax.tree.map(
        lambda x: 1.5 * x.astype(float), draw(model.init, jax.random.key(0), SOURCE, TARGET_IN)["params"]
    )
    torch.manual_seed(0)
    encoder = torch.nn.LSTM(E, H, num_layers=model.num_layers, batch_first=True, dtype=torch.float64)
    params["encoder"]["rnn"] = load_torch(encoder.state_dict(), cells.LSTM(H), num_layers=model.num_layers)
    layers = []
    for n in range(model.num_layers):
        own = params["decoder"][f"layer{n}"]
        layer = torch.nn.LSTMCell(own["kernel"].shape[0], H, dtype=torch.float64)
        with torch.no_grad():
            layer.weight_ih.copy_(torch.tensor(own["kernel"].T))
            layer.weight_hh.copy_(torch.tensor(own["recurrent_kernel"].T))
            layer.bias_ih.copy_(torch.tensor(own["bias"]))
            layer.bias_hh.zero_()
        layers.append(layer)
    leaves = jax.tree.map(lambda leaf: torch.tensor(np.array(leaf), requires_grad=True), params)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        leaves["encoder"]["embedding"]["embedding"][torch.tensor(SOURCE)], LENGTHS.tolist(), batch_first=True
    )
    states, (ends, _) = encoder(packed)
    states, _ = torch.nn.utils.rnn.pad_packed_sequence(states, batch_first=True, total_length=SOURCE.shape[1])
    expected, attention = their_decoder(torch, model, leaves["decoder"], layers, states, ends[-1])
    valid = torch.tensor(np.arange(4) < np.array([4, 3, 2])[:, None])
    F = torch.nn.functional
    F.cross_entropy(expected[valid], torch.tensor(TARGET).long()[valid], reduction="sum").backward()

    @jax.jit
    def run(params, source):
        def loss(params):
            given = {"return_intermediates": True}
            logits, out = model.apply({"params": params}, source, TARGET_IN, LENGTHS, **given)
            mask = jnp.asarray(valid.numpy(), float)
            return losses.cross_entropy(logits, TARGET, mask=mask, reduction="sum"), (logits, out["attention"])

        return jax.grad(loss, has_aux=True)(params)

    gradient, (logits, weights) = run(params, SOURCE)
    close(logits, expected.detach())
    close(weights, attention.detach())
    if name == "monotonic":
        assert np.all(weights[2, 3] == 0)  # the only word is out of the window
    for path in (("encoder", "embedding", "embedding"), ("decoder", "attentional"), ("decoder", "initial", "kernel")):
        ours, theirs = gradient, leaves
        for key in path:
            ours, theirs = ours[key], theirs[key]
        jax.tree.map(lambda a, b: close(a, b.grad), ours, theirs)
    for n, layer in enumerate(layers):
        close(gradient["decoder"][f"layer{n}"]["kernel"], layer.weight_ih.grad.T)
        close(gradient["decoder"][f"layer{n}"]["recurrent_kernel"], layer.weight_hh.grad.T)
    junk = np.where(np.arange(SOURCE.shape[1]) < LENGTHS[:, None], SOURCE, 5)
    jax.tree.map(close, run(params, junk), (gradient, (logits, weights)))


@pytest.mark.parametrize("name", MODELS)
def test_generated_tokens_are_the_most_probable_after_each_other(name):
    model = MODELS[name]
    variables = jax.tree.map(lambda x: 3 * x.astype(float), draw(model.init, jax.random.key(0), SOURCE, TARGET_IN))

    @jax.jit
    def run():
        carry = model.apply(variables, SOURCE, LENGTHS, method="init_carry")
        step_fn = step_function(model, variables)
        tokens = decode.greedy(step_fn, carry, np.array([2, 2, 2]), max_length=5).tokens
        beams = decode.beam_search(step_fn, carry, np.array([2, 2, 2]), num_beams=2, max_length=3)
        target_in = jnp.concatenate([jnp.full((3, 1), 2), tokens[:, :-1]], axis=1)
        return tokens, jnp.argmax(model.apply(variables, SOURCE, target_in, LENGTHS), axis=-1), beams.score

    tokens, again, scores = run()
    np.testing.assert_array_equal(tokens, again)
    assert np.isfinite(scores).all()


def test_windows_match_their_formulas():
    centers = np.array([[0.0, 1.5, 9.0], [3.0, 2.25, -4.0]])
    s = np.arange(5)
    np.testing.assert_array_equal(local_mask(centers, 5, 2), np.abs(s - centers[..., None]) <= 2)
    close(gaussian_window(centers, 5, 3), np.exp(-((s - centers[..., None]) ** 2) / (2 * 1.5**2)))
    with pytest.raises(ValueError, match="got 0"):
        local_mask(centers, 5, 0)
    with pytest.raises(ValueError, match="got 'near'"):
        jax.eval_shape(LUONG(locality="near").init, jax.random.key(0), SOURCE, TARGET_IN)
    with pytest.raises(ValueError, match="got 4 and 8"):
        jax.eval_shape(LUONG(score=DotScore(), bidirectional=True).init, jax.random.key(0), SOURCE, TARGET_IN)
