"""Networks over videos: 3-D convolution against torch in float64, padding, one step after the other; captions."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from jaxdl import decode, losses, nn
from jaxdl.models import (
    ConvVideoClassifier,
    RecurrentVideoClassifier,
    TransformerVideoClassifier,
    VideoCaptioner,
    step_function,
)
from jaxdl.models.sequence import FrameFeatures, VideoEncoder
from jaxdl.nn.recurrent.cells import GRU
from tests import peers
from tests.variables import draw

rng = np.random.default_rng(0)
VIDEO, LENGTHS = rng.normal(size=(2, 4, 4, 4, 1)).astype(np.float32), np.array([4, 2])
JUNK = np.where(np.arange(4)[:, None, None, None] < LENGTHS[:, None, None, None, None], VIDEO, 9.0)
close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-11)


class Halved(linen.Module):
    """A convolution over patches of 2 x 2 pixels of every frame."""

    @linen.compact
    def __call__(self, x, train=False):
        return nn.Conv(3, (2, 2), 2)(x)


@pytest.mark.usefixtures("float64")
def test_convolution_over_time_and_space_matches_torch():
    torch, model = peers.torch(), ConvVideoClassifier(3, channels=(2, 3))
    video = rng.normal(size=(2, 4, 5, 4, 2))
    variables = jax.tree.map(np.float64, draw(model.init, jax.random.key(0), video))
    leaves = jax.tree.map(lambda leaf: torch.tensor(leaf, requires_grad=True), variables["params"])
    functional = torch.nn.functional
    x = torch.tensor(np.moveaxis(video, -1, 1).copy())
    for number, size in ((1, (1, 2, 2)), (2, 2)):
        own = leaves[f"conv{number}"]
        x = functional.conv3d(x, own["kernel"].permute(4, 3, 0, 1, 2), own["bias"], padding=1)
        x = functional.max_pool3d(torch.relu(x), size)
    expected = x.mean((2, 3, 4)) @ leaves["output"]["kernel"] + leaves["output"]["bias"]
    functional.cross_entropy(expected, torch.tensor([2, 0])).backward()

    @jax.jit
    def run(params):
        def loss(params):
            logits = model.apply({"params": params}, video)
            return losses.cross_entropy(logits, np.array([2, 0])), logits

        return jax.grad(loss, has_aux=True)(params)

    gradient, logits = run(variables["params"])
    close(logits, expected.detach())
    jax.tree.map(lambda a, b: close(a, b.grad), gradient, leaves)


@pytest.mark.usefixtures("float64")
def test_strides_dilations_and_groups_in_three_dimensions_match_torch():
    torch = peers.torch()
    x, kernel = rng.normal(size=(2, 6, 7, 5, 4)), rng.normal(size=(3, 2, 3, 2, 6))
    options = {"stride": (1, 2, 1), "dilation": (2, 1, 1), "groups": 2}
    theirs = torch.nn.functional.conv3d(
        torch.tensor(np.moveaxis(x, -1, 1).copy()),
        torch.tensor(kernel.transpose(4, 3, 0, 1, 2).copy()),
        padding=(1, 0, 2),
        **options,
    )
    ours = nn.convolve(x, kernel, padding=((1, 1), (0, 0), (2, 2)), **options)
    close(ours, np.moveaxis(theirs.numpy(), 1, -1))


def test_padding_has_no_influence_and_order_has():
    models = {
        "recurrent": RecurrentVideoClassifier(3, Halved(), GRU(3)),
        "transformer": TransformerVideoClassifier(3, Halved(), d_model=4, num_layers=1, num_heads=2),
    }
    variables = {name: draw(model.init, jax.random.key(0), VIDEO) for name, model in models.items()}

    @jax.jit
    def run(video, lengths):
        return {name: model.apply(variables[name], video, lengths) for name, model in models.items()}

    logits = run(VIDEO, LENGTHS)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), run(JUNK, LENGTHS), logits)
    for name, backwards in run(VIDEO[:, ::-1].copy(), np.array([4, 4])).items():
        assert np.abs(backwards[0] - logits[name][0]).max() > 1e-3, name


def test_a_frame_is_read_by_the_network_alone():
    variables = draw(VideoEncoder(Halved(), GRU(3)).init, jax.random.key(0), VIDEO)
    kernel, bias = (variables["params"]["network"]["Conv_0"][name] for name in ("kernel", "bias"))
    frames = {"params": {"network": variables["params"]["network"]}}
    features, mask = FrameFeatures(Halved()).apply(frames, VIDEO, LENGTHS)
    patches = VIDEO.reshape(2, 4, 2, 2, 2, 2).swapaxes(3, 4).reshape(2, 4, 2, 2, 4)
    expected = (patches @ kernel.reshape(4, 3) + bias).reshape(2, 4, 12) * np.asarray(mask)[..., None]
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)


def test_captions_are_the_most_probable_words_and_attend_to_frames():
    model = VideoCaptioner(7, Halved(), GRU(4), 3)
    target = np.array([[3, 4, 1, 0], [5, 1, 0, 0]])
    variables = jax.tree.map(lambda x: 2 * x, draw(model.init, jax.random.key(0), VIDEO, target))

    @jax.jit
    def run(video, lengths):
        carry = model.apply(variables, video, lengths, method="init_carry")
        step_fn = step_function(model, variables)
        tokens = decode.greedy(step_fn, carry, jnp.array([2, 2]), max_length=4).tokens
        target_in = jnp.concatenate([jnp.full((2, 1), 2), tokens[:, :-1]], axis=1)
        logits, out = model.apply(variables, video, target_in, lengths, return_intermediates=True)
        return tokens, logits, out["attention"]

    tokens, logits, attention = run(VIDEO, LENGTHS)
    np.testing.assert_array_equal(tokens, np.argmax(logits, axis=-1))
    np.testing.assert_allclose(run(JUNK, LENGTHS)[1], logits, rtol=1e-4, atol=1e-5)
    assert np.all(attention[1, :, 2:] == 0)


@pytest.mark.parametrize(
    ("model", "arguments", "got"),
    [
        (ConvVideoClassifier(2), (VIDEO[0],), r"got \(4, 4, 4, 1\)"),
        (RecurrentVideoClassifier(2, Halved()), (VIDEO[0],), r"got \(4, 4, 4, 1\)"),
        (RecurrentVideoClassifier(2), (np.zeros((2, 3), np.float32),), r"got \(2, 3\)"),
        (TransformerVideoClassifier(2), (np.zeros((2, 3, 4), np.float32), np.array([1])), r"got \(1,\)"),
    ],
)
def test_other_videos_are_errors(model, arguments, got):
    with pytest.raises(ValueError, match=got):
        jax.eval_shape(model.init, jax.random.key(0), *arguments)
