"""The transformer against torch with the same weights, pre-norm and post-norm; padding, caches, scanned blocks."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import decode, pretrained, tree
from jaxdl.models.scanning import stack_blocks
from jaxdl.models.stepping import step_function
from jaxdl.models.transformers.transformer import Decoder, Encoder, Transformer
from jaxdl.pretrained import Rule
from jaxdl.pretrained.layouts import parameter, part
from tests.models.parity import entries_of, randomize
from tests.peers import torch

V, D = 7, 8
SIZES = {"num_layers": 2, "num_heads": 2, "mlp_dim": 12}
MODEL = Transformer(V, d_model=D, dropout_rate=0.0, **SIZES)
SOURCE = np.array([[1, 4, 2, 5], [3, 6, 0, 0]])
LENGTHS = np.array([4, 2])
TARGET = np.array([[1, 2, 6], [1, 5, 4]])
close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-11)


def rules():
    """Map the weights of ``torch.nn.Transformer``, which has one array for query, key and value."""
    kernel, bias = parameter(np.transpose, np.transpose), parameter()
    table = [Rule("source_embedding", "embedding"), Rule("(encoder|decoder)/norm", r"\1.norm")]
    for stack in ("encoder", "decoder"):
        ours, theirs = f"{stack}/{stack}_block1", f"{stack}.layers.0"
        table += [Rule(f"{ours}/norm(.)", rf"{theirs}.norm\1"), Rule(f"{ours}/dense(.)", rf"{theirs}.linear\1")]
        for our, their in (("attention", "self_attn"), ("memory_attention", "multihead_attn")):
            table.append(Rule(f"{ours}/{our}/output", f"{theirs}.{their}.out_proj"))
            for i, name in enumerate(("query", "key", "value")):
                own = f"{ours}/{our}/{name}"
                table.append(Rule(f"{own}/kernel", f"{theirs}.{their}.in_proj_weight", part(i, 3, kernel)))
                table.append(Rule(f"{own}/bias", f"{theirs}.{their}.in_proj_bias", part(i, 3, bias)))
    return table


def random_variables(model, *inputs):
    generator = np.random.default_rng(0)
    forms = jax.eval_shape(model.init, jax.random.key(0), *inputs)
    return jax.tree.map(lambda leaf: generator.normal(size=leaf.shape) / 2, forms)


@pytest.mark.parametrize(("norm_first", "activation"), [(True, "gelu"), (False, "relu")])
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.usefixtures("float64")
def test_logits_and_all_gradients_match_torch(norm_first, activation):
    library = torch()
    options = {"dropout": 0.0, "batch_first": True, "norm_first": norm_first, "activation": activation}
    peer = library.nn.Transformer(D, 2, 1, 1, 12, **options)
    peer.embedding = library.nn.Embedding(V, D)
    randomize(peer)
    positions = np.zeros((4, D))
    for p in range(4):
        for i in range(0, D, 2):
            positions[p, i : i + 2] = np.sin(p / 10_000 ** (i / D)), np.cos(p / 10_000 ** (i / D))
    source, target = (library.tensor(tokens) for tokens in (SOURCE, TARGET))
    source_in = D**0.5 * peer.embedding(source) + library.tensor(positions)
    target_in = D**0.5 * peer.embedding(target) + library.tensor(positions[:3])
    padding, later = library.tensor(SOURCE == 0), library.ones(3, 3, dtype=bool).triu(1)
    masks = {"tgt_mask": later, "src_key_padding_mask": padding, "memory_key_padding_mask": padding}
    expected = peer(source_in, target_in, **masks) @ peer.embedding.weight.T
    cotangent = np.random.default_rng(1).normal(size=expected.shape)
    expected.backward(library.tensor(cotangent))

    model = MODEL.clone(num_layers=1, norm_first=norm_first, activation=activation, final_norm=True)
    forms = jax.eval_shape(model.init, jax.random.key(0), SOURCE, TARGET)
    params = pretrained.convert(entries_of(peer), forms, rules(), dtype=np.float64)["params"]

    @jax.jit
    def run(params):
        logits, pull = jax.vjp(lambda params: model.apply({"params": params}, SOURCE, TARGET, LENGTHS), params)
        return logits, *pull(cotangent)

    logits, gradient = run(params)
    close(logits, expected.detach().numpy())
    theirs = {name: leaf.grad.numpy() for name, leaf in peer.named_parameters()}
    ours = pretrained.to_theirs(tree.flatten({"params": gradient}), rules())
    assert ours.keys() == theirs.keys()
    for name, leaf in ours.items():
        close(leaf, theirs[name], atol=1e-9, err_msg=name)


@pytest.mark.usefixtures("float64")
def test_decoding_with_caches_matches_the_logits_without_and_padding_changes_nothing():
    model, length = MODEL.clone(target_vocab_size=5, norm_first=True), 4
    variables = random_variables(model, SOURCE, TARGET % 5)

    @jax.jit
    def run(source):
        carry = model.apply(variables, source, LENGTHS, max_length=length, method="init_carry")
        first, step = jnp.ones(2, int), step_function(model, variables)
        beams = decode.beam_search(step, carry, first, num_beams=2, max_length=length, length_penalty=0.0)
        greedy = decode.greedy(step, carry, first, max_length=length)
        both = jnp.concatenate([beams.tokens[:, 0], greedy.tokens])
        target_in = jnp.concatenate([jnp.ones((4, 1), both.dtype), both[:, :-1]], axis=1)
        logits = model.apply(variables, jnp.tile(source, (2, 1)), target_in, jnp.tile(LENGTHS, 2))
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), both[..., None], axis=-1)[..., 0].sum(-1)
        return beams, greedy, logits[2:], chosen

    beams, greedy, logits, chosen = run(SOURCE)
    np.testing.assert_array_equal(greedy.tokens, jnp.argmax(logits, axis=-1))
    close(chosen, jnp.concatenate([beams.log_probability[:, 0], greedy.log_probability]), rtol=1e-10)
    assert (beams.log_probability[:, 0] >= greedy.log_probability - 1e-12).all()
    np.testing.assert_array_equal(run(np.where(SOURCE == 0, 5, SOURCE))[2], logits)
    assert (run(SOURCE + np.array([[1, 0, 0, 0]]))[2] != logits).any()


@pytest.mark.usefixtures("float64")
def test_scanned_blocks_match_unrolled_blocks():
    variables, scanned = random_variables(MODEL, SOURCE, TARGET), MODEL.clone(scan_blocks=True)

    @jax.jit
    def both(variables):
        run = partial(Transformer.apply, source_lengths=LENGTHS, return_intermediates=True)
        return run(MODEL, variables, SOURCE, TARGET), run(scanned, stack_blocks(variables), SOURCE, TARGET)

    unrolled, other = both(variables)
    jax.tree.map(close, other, unrolled)
    parts = ("", "_attention", "_memory_attention")
    decoder = {f"decoder_block{n}{part}" for n in (1, 2) for part in parts}
    assert set(unrolled[1]) == decoder | {f"encoder_block{n}{part}" for n in (1, 2) for part in parts[:2]} | {
        "memory",
        "decoded",
    }
    weights = unrolled[1]["decoder_block2_memory_attention"]
    assert weights.shape == (2, 2, 3, 4)
    assert (weights[1, ..., 2:] == 0).all()


@pytest.mark.usefixtures("float64")
def test_lengths_are_the_mask_of_padding_in_both_stacks():
    x, memory = np.random.default_rng(0).normal(size=(2, 2, 4, D))
    encoder, decoder = (kind(num_layers=1, num_heads=2, mlp_dim=8) for kind in (Encoder, Decoder))
    valid = np.arange(4) < LENGTHS[:, None]
    near = np.abs(np.subtract.outer(np.arange(4), np.arange(4))) < 2

    @jax.jit
    def run(encoding, decoding):
        by_lengths = encoder.apply(encoding, x, LENGTHS), decoder.apply(decoding, x, memory, LENGTHS, LENGTHS)
        masks = {"mask": valid[:, None], "memory_mask": valid[:, None]}
        by_masks = encoder.apply(encoding, x, mask=valid[:, None]), decoder.apply(decoding, x, memory, **masks)
        both = encoder.apply(encoding, x, LENGTHS, mask=near), encoder.apply(encoding, x, mask=valid[:, None] & near)
        return by_lengths, by_masks, both

    by_lengths, by_masks, both = run(random_variables(encoder, x), random_variables(decoder, x, memory))
    jax.tree.map(np.testing.assert_array_equal, by_lengths, by_masks)
    np.testing.assert_array_equal(*both)
    assert (both[0] != by_lengths[0]).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: random_variables(Encoder(**SIZES), jnp.zeros((1, 2, D)), jnp.ones((1, 1, 2), bool)),
            r"lengths \(1,\) of integers, got \(1, 1, 2\) of bool; .* mask=",
        ),
        (
            lambda: random_variables(
                Decoder(**SIZES), *jnp.zeros((2, 1, 2, D)), None, jnp.ones((1, 1, 2), bool), False, False, None
            ),
            r"got \(1, 1, 2\) of bool; .* memory_mask=",
        ),
        (
            lambda: random_variables(Decoder(**SIZES), *jnp.zeros((2, 1, 2, D)), LENGTHS[:1], None, False, False, []),
            "with caches, got lengths",
        ),
        (lambda: random_variables(MODEL, SOURCE * 1.0, TARGET), r"source .* float32"),
        (lambda: random_variables(MODEL, SOURCE, TARGET[0]), r"target_in .* \(3,\)"),
        (
            lambda: random_variables(Decoder(**SIZES), *jnp.zeros((2, 1, 2, D)), None, None, False, False, []),
            "2 caches.* got 0",
        ),
        (lambda: random_variables(MODEL, SOURCE, TARGET[:1]), r"got \(2, 4\) and \(1, 3\)"),
        (lambda: random_variables(MODEL, SOURCE, TARGET, LENGTHS[:1]), r"got \(1,\)"),
        (lambda: random_variables(MODEL, SOURCE, TARGET, LENGTHS[:, None]), r"got \(2, 1\)"),
        (lambda: random_variables(MODEL.clone(num_layers=0), SOURCE, TARGET), "num_layers .* got 0"),
    ],
)
def test_invalid_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()
