"""Games against plain loops in torch, weights and random numbers the same, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from jaxdl import generative, optim, pretrained, tasks, train, tree
from jaxdl.nn.normalization import BatchNorm
from jaxdl.pretrained import Rule
from tests.models.parity import entries_of, randomize
from tests.peers import torch
from tests.variables import draw

STEPS, RATE = 3, 1e-2


def tensor(array):
    return torch().tensor(np.moveaxis(np.asarray(array, np.float64), -1, 1).copy())


def adam(*modules):
    params = [param for module in modules for param in module.parameters()]
    return torch().optim.Adam(params, RATE, betas=(0.5, 0.999))


def run(game, optimizers, variables, batch, make=train.make_alternating_step):
    """Train for some steps on one batch; return the state and the losses of every step."""
    state = train.TrainState.create(variables, train.combine_optimizers(optimizers), jax.random.key(5))
    step, history = jax.jit(make(game.losses, optimizers)), []
    for _ in range(STEPS):
        state, metrics = step(state, batch)
        history.append({name: float(value) for name, value in metrics.items()})
    return state, history


class Layered(linen.Module):
    """Two linear maps with batch norm between them."""

    outputs: int

    @linen.compact
    def __call__(self, x, train=False):
        x = BatchNorm(name="norm")(linen.Dense(6, use_bias=False, name="hidden")(x), train)
        return linen.Dense(self.outputs, name="output")(linen.leaky_relu(x, 0.2))


LAYERS = [Rule("hidden", "0"), Rule("norm", "1"), Rule("output", "3")]


def layered(inputs, outputs):
    """Make the same layers in torch."""
    nn = torch().nn
    return nn.Sequential(nn.Linear(inputs, 6, bias=False), nn.BatchNorm1d(6), nn.LeakyReLU(0.2), nn.Linear(6, outputs))


@pytest.mark.usefixtures("float64")
def test_gan_is_the_loop_of_the_examples_of_pytorch():
    networks = {"generator": Layered(3), "discriminator": Layered(1)}
    peers = {"generator": layered(5, 3), "discriminator": layered(3, 1)}
    players = {}
    for player, peer in peers.items():
        form = pretrained.template(networks[player], (peer[0].in_features,))
        players[player] = pretrained.convert(entries_of(randomize(peer)), form, LAYERS, dtype=np.float64)
    game = tasks.gan(**networks, objective=generative.non_saturating(0.9), latent_size=5)
    batch = {"image": np.random.default_rng(0).uniform(-1, 1, (4, 3))}
    optimizers = dict.fromkeys(peers, optim.adam(RATE, b1=0.5))
    state, history = run(game, optimizers, tasks.join_players(players), batch)

    functional, descents = torch().nn.functional, {player: adam(peer) for player, peer in peers.items()}
    real = tensor(batch["image"])
    for number in range(STEPS):
        latent_key, _ = jax.random.split(jax.random.fold_in(jax.random.key(5), number))
        z = torch().tensor(np.asarray(jax.random.normal(latent_key, (4, 5))))
        fake = peers["generator"](z)
        descents["discriminator"].zero_grad()
        logits = peers["discriminator"](real), peers["discriminator"](fake.detach())
        losses = [
            functional.binary_cross_entropy_with_logits(y, torch().full_like(y, label))
            for y, label in zip(logits, (0.9, 0.0), strict=True)
        ]
        sum(losses).backward()
        descents["discriminator"].step()
        descents["generator"].zero_grad()
        y = peers["discriminator"](fake)
        loss = functional.binary_cross_entropy_with_logits(y, torch().ones_like(y))
        loss.backward()
        descents["generator"].step()
        np.testing.assert_allclose(history[number]["discriminator_loss"], sum(losses).item(), rtol=1e-7)
        np.testing.assert_allclose(history[number]["generator_loss"], loss.item(), rtol=1e-7)
    for player, peer in peers.items():
        own = tree.flatten(tasks.player_variables(state.variables, player))
        for name, value in pretrained.to_theirs(own, LAYERS).items():
            if not name.endswith("num_batches_tracked"):
                np.testing.assert_allclose(value, entries_of(peer)[name], rtol=1e-6, atol=1e-9, err_msg=name)


class Pointwise(linen.Module):
    """A linear map of every pixel, with ``tanh`` in a generator."""

    features: int
    last: bool = False

    @linen.compact
    def __call__(self, x, train=False):
        y = linen.Dense(self.features, name="map")(x)
        return jnp.tanh(y) if self.last else y


def peer_of(params, last=False):
    """Make the same layers in torch, channels first."""
    nn = torch().nn
    kernel, bias = np.asarray(params["map"]["kernel"]), np.asarray(params["map"]["bias"])
    conv = nn.Conv2d(*kernel.shape, 1).double()
    conv.weight, conv.bias = nn.Parameter(torch().tensor(kernel.T[..., None, None])), nn.Parameter(torch().tensor(bias))
    return nn.Sequential(conv, *([nn.Tanh()] if last else []))


def assert_same(params, peer):
    np.testing.assert_allclose(params["map"]["kernel"].T, peer[0].weight.detach().numpy()[..., 0, 0], rtol=1e-7)
    np.testing.assert_allclose(params["map"]["bias"], peer[0].bias.detach().numpy(), rtol=1e-7)


def initialize(game, batch):
    """Draw the parameters; pools start empty."""
    variables = draw(functools.partial(game.init, jax.random.key(0)), batch)
    variables["params"] = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
    return variables | {name: jax.tree.map(np.zeros_like, variables[name]) for name in variables if name == "pools"}


def images(seed):
    return np.random.default_rng(seed).uniform(-1, 1, (2, 3, 3, 2))


@pytest.mark.usefixtures("float64")
def test_pix2pix_is_the_loop_of_the_public_repository():
    game = tasks.pix2pix(Pointwise(2, True), Pointwise(1))
    batch = {"a": images(0), "b": images(1)}
    variables = initialize(game, batch)
    g, d = (peer_of(variables["params"][player], player == "generator") for player in ("generator", "discriminator"))
    optimizers = dict.fromkeys(("generator", "discriminator"), optim.adam(RATE, b1=0.5))
    state, history = run(game, optimizers, variables, batch)
    functional, of_g, of_d = torch().nn.functional, adam(g), adam(d)
    a, b = tensor(batch["a"]), tensor(batch["b"])

    def entropy(logits, label):
        return functional.binary_cross_entropy_with_logits(logits, torch().full_like(logits, label))

    for number in range(STEPS):
        fake = g(a)
        of_d.zero_grad()
        fake_loss = entropy(d(torch().cat([a, fake], 1).detach()), 0.0)
        loss = (fake_loss + entropy(d(torch().cat([a, b], 1)), 1.0)) * 0.5
        loss.backward()
        of_d.step()
        of_g.zero_grad()
        total = entropy(d(torch().cat([a, fake], 1)), 1.0) + functional.l1_loss(fake, b) * 100
        total.backward()
        of_g.step()
        np.testing.assert_allclose(history[number]["discriminator_loss"], loss.item(), rtol=1e-9)
        np.testing.assert_allclose(history[number]["generator_loss"], total.item(), rtol=1e-9)
    assert_same(state.params["generator"], g)
    assert_same(state.params["discriminator"], d)


@pytest.mark.usefixtures("float64")
def test_cycle_gan_is_the_loop_of_the_public_repository():
    game = tasks.cycle_gan(Pointwise(2, True), Pointwise(1), pool_size=3)
    batch = {"a": images(0), "b": images(1)}
    variables = initialize(game, batch)
    params = variables["params"]
    g = {name: peer_of(each, True) for name, each in params["generator"].items()}
    d = {name: peer_of(each) for name, each in params["discriminator"].items()}
    optimizers = dict.fromkeys(("generator", "discriminator"), optim.adam(RATE, b1=0.5))
    state, history = run(game, optimizers, variables, batch, train.make_simultaneous_step)
    functional, of_g, of_d = torch().nn.functional, adam(*g.values()), adam(*d.values())
    a, b = tensor(batch["a"]), tensor(batch["b"])
    pools = {name: generative.init_image_pool(3, batch[name][0]) for name in "ab"}

    def error(logits, label):
        return functional.mse_loss(logits, torch().full_like(logits, label))

    for number in range(STEPS):
        key = jax.random.fold_in(jax.random.key(5), number)
        fake_b, fake_a = g["a_to_b"](a), g["b_to_a"](b)
        cycled_a, cycled_b = g["b_to_a"](fake_b), g["a_to_b"](fake_a)
        same_b, same_a = g["a_to_b"](b), g["b_to_a"](a)
        of_g.zero_grad()
        total = error(d["b"](fake_b), 1.0) + error(d["a"](fake_a), 1.0)
        total = total + 10 * (functional.l1_loss(cycled_a, a) + functional.l1_loss(cycled_b, b))
        total = total + 5 * (functional.l1_loss(same_a, a) + functional.l1_loss(same_b, b))
        total.backward()
        of_g.step()
        of_d.zero_grad()
        loss = 0.0
        for place, (name, real, fake) in enumerate((("a", a, fake_a), ("b", b, fake_b))):
            pool_key = jax.random.split(jax.random.fold_in(key, 2 + place), 3)[0]
            shown = np.moveaxis(fake.detach().numpy(), 1, -1)
            old, pools[name] = generative.query_image_pool(pools[name], shown, pool_key)
            loss = loss + (error(d[name](real), 1.0) + error(d[name](tensor(old)), 0.0)) * 0.5
        loss.backward()
        of_d.step()
        np.testing.assert_allclose(history[number]["generator_loss"], total.item(), rtol=1e-9)
        np.testing.assert_allclose(history[number]["discriminator_loss"], loss.item(), rtol=1e-9)
    for player, peers in (("generator", g), ("discriminator", d)):
        for name, peer in peers.items():
            assert_same(state.params[player][name], peer)
    np.testing.assert_allclose(state.collections["pools"]["a"]["images"], pools["a"].images, rtol=1e-9)


def test_padding_changes_neither_loss_nor_gradient():
    game = tasks.gan(Pointwise(3, True), Pointwise(1), latent_size=2, objective=generative.wasserstein(), inputs="x")
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    mask = np.float32([1, 1, 1, 0, 0])
    variables = draw(functools.partial(game.init, jax.random.key(0)), {"x": x})

    @jax.jit
    def gradient(x):
        return {
            player: jax.grad(
                lambda variables, loss=loss: loss(variables, {"x": x, "mask": mask}, jax.random.key(1))[0]
            )(variables)
            for player, loss in game.losses.items()
        }

    assert gradient(np.int8(x))["generator"]["params"]["generator"]["map"]["kernel"].dtype == np.float32
    other = np.concatenate([x[:3], 7 * x[3:]])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), gradient(x), gradient(other))


class NormalizedPixels(linen.Module):
    """A linear map of every pixel after batch norm."""

    features: int

    @linen.compact
    def __call__(self, x, train=False):
        return linen.Dense(self.features, name="map")(BatchNorm(name="norm")(x, train))


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (functools.partial(tasks.gan, latent_size=3, penalty_weight=2.0), ("image",)),
        (tasks.pix2pix, ("a", "b")),
        (functools.partial(tasks.cycle_gan, pool_size=2), ("a", "b")),
    ],
)
def test_rows_that_fill_up_a_batch_change_nothing(make, names):
    rng, key = np.random.default_rng(3), jax.random.key(7)
    game = make(NormalizedPixels(3), NormalizedPixels(1))
    ragged = {name: rng.uniform(-1, 1, (3, 3)).astype(np.float32) for name in names}
    padded = {name: np.concatenate([x, np.full((2, 3), 9, np.float32)]) for name, x in ragged.items()}
    padded["mask"] = np.float32([1, 1, 1, 0, 0])
    variables = draw(functools.partial(game.init, jax.random.key(0)), ragged)
    variables |= {name: jax.tree.map(jnp.zeros_like, variables[name]) for name in variables if name == "pools"}

    def both(batch):
        found = {}
        for player, loss in game.losses.items():
            found[player] = jax.value_and_grad(
                lambda params, loss=loss: loss({**variables, "params": params}, batch, key), has_aux=True
            )(variables["params"])
        return found

    expected, got = (jax.jit(both)(batch) for batch in (ragged, padded))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), expected, got)


def test_a_batch_without_examples_and_impossible_options_are_an_error():
    game = tasks.gan(Pointwise(3), Pointwise(1))
    with pytest.raises(ValueError, match="'image'"):
        game.init(jax.random.key(0), {"images": np.zeros((1, 3))})
    for changes, message in (({"latent_size": 0}, "got 0"), ({"penalty_weight": -1.0}, r"got -1\.0")):
        with pytest.raises(ValueError, match=message):
            tasks.gan(Pointwise(3), Pointwise(1), **changes)
    with pytest.raises(ValueError, match=r"got -2\.0"):
        tasks.pix2pix(Pointwise(3), Pointwise(1), l1_weight=-2.0)
    with pytest.raises(ValueError, match=r"got -3\.0"):
        tasks.cycle_gan(Pointwise(3), Pointwise(1), cycle_weight=-3.0)
