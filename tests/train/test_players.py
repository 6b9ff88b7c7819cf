"""Steps of several players: the order of their updates, the parts of a batch, one program, one device and many."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from jaxdl import data, generative, optim, tasks, train
from jaxdl.nn.normalization import BatchNorm
from jaxdl.train import parallel
from tests.train.test_precision import equations

RATE = 0.25


def bilinear(player, sign):
    """Make the loss ``sign x y mean(row)``, whose gradient is known."""

    def loss(variables, batch, key):
        params = variables["params"]
        value = sign * params["x"] * params["y"] * jnp.mean(batch["row"])
        calls = {"calls": {**variables["calls"], player: variables["calls"][player] + 1}}
        return value, (calls, {"key": jax.random.uniform(key)})

    return loss


LOSSES = {"x": bilinear("x", 1.0), "y": bilinear("y", -1.0)}
OPTIMIZERS = {"x": optim.sgd(RATE), "y": optim.sgd(RATE)}


def make_state(x=1.0, y=2.0):
    variables = {"params": {"x": jnp.array(x), "y": jnp.array(y)}, "calls": {"x": jnp.array(0), "y": jnp.array(0)}}
    return train.TrainState.create(variables, train.combine_optimizers(OPTIMIZERS), jax.random.key(0))


def test_the_second_player_sees_the_update_of_the_first():
    state, metrics = jax.jit(train.make_alternating_step(LOSSES, OPTIMIZERS))(make_state(), {"row": jnp.ones(2)})
    x = 1.0 - RATE * 2.0
    assert (state.params["x"], state.params["y"]) == (x, 2.0 + RATE * x)
    assert (metrics["x_loss"], metrics["y_loss"]) == (2.0, -2 * x)
    assert (metrics["x_gradient_norm"], metrics["y_update_norm"], metrics["y_parameter_norm"]) == (2, RATE * x, 2.125)
    assert metrics["x_learning_rate"] == RATE
    assert metrics["x_key"] == metrics["y_key"]
    assert state.step == 1
    assert state.collections == {"calls": {"x": 1, "y": 1}}


def test_players_move_from_the_same_point_in_a_simultaneous_step():
    state, metrics = jax.jit(train.make_simultaneous_step(LOSSES, OPTIMIZERS))(make_state(), {"row": jnp.ones(2)})
    assert (state.params["x"], state.params["y"]) == (0.5, 2.25)
    assert (metrics["x_loss"], metrics["y_loss"]) == (2.0, -2.0)
    assert state.collections == {"calls": {"x": 1, "y": 1}}


def test_every_update_of_a_step_has_the_next_part_of_the_batch():
    step = train.make_alternating_step(LOSSES, OPTIMIZERS, updates={"x": 2})
    state, metrics = jax.jit(step)(make_state(), {"row": jnp.array([1.0, 3.0, 1.0, 3.0])})
    x = 1.0 - RATE * 2.0 * 1.0
    second = x - RATE * 2.0 * 3.0
    assert (state.params["x"], state.params["y"]) == (second, 2.0 + RATE * second)
    assert metrics["x_loss"] == (1.0 * 2.0 * 1.0 + x * 2.0 * 3.0) / 2
    assert state.collections == {"calls": {"x": 2, "y": 1}}
    with pytest.raises(ValueError, match="2 updates, got 3"):
        step(make_state(), {"row": jnp.ones(3)})


@pytest.mark.parametrize(
    ("error", "changes", "message"),
    [
        (ValueError, {"optimizers": {"x": optim.sgd(0.1)}}, r"got \['x', 'y'\] and \['x'\]"),
        (ValueError, {"updates": {"z": 2}}, "got 'z'"),
        (ValueError, {"updates": {"x": 0}}, "got 0"),
        (ValueError, {"precision": "float16"}, "got 'float16'"),
        (TypeError, {"optimizers": {"x": optim.sgd(0.1), "y": optim.sgd}}, "got the function sgd"),
    ],
)
def test_unknown_players_are_an_error(error, changes, message):
    with pytest.raises(error, match=message):
        train.make_alternating_step(**{"losses": LOSSES, "optimizers": OPTIMIZERS, **changes})


class Network(linen.Module):
    """A small network with batch norm."""

    outputs: int

    @linen.compact
    def __call__(self, x, train=False):
        x = linen.Dense(8, use_bias=False, name="hidden")(x)
        x = linen.leaky_relu(BatchNorm(name="norm")(x, train))
        return linen.Dense(self.outputs, name="output")(x)


GAME = tasks.gan(Network(4), Network(1), latent_size=3, objective=generative.non_saturating(0.9), inputs="x")
MOMENTUM = {"discriminator": optim.momentum(0.05, 0.9), "generator": optim.momentum(0.05, 0.9)}


UPDATES = {"discriminator": 2}


@functools.cache
def make_run():
    """Make step, state and loader."""
    x = np.random.default_rng(0).normal(size=(80, 4)).astype(np.float32)
    loader = data.Loader({"x": x}, 16, seed=1)

    @jax.jit
    def create(batch):
        variables = GAME.init(jax.random.key(0), batch)
        return train.TrainState.create(variables, train.combine_optimizers(MOMENTUM), jax.random.key(1))

    return train.make_alternating_step(GAME.losses, MOMENTUM, updates=UPDATES), create(loader.batch(0)), loader


def fit(step, state, loader, steps, **options):
    return train.fit(step, jax.tree.map(jnp.copy, state), loader, epochs=steps / 5, **options)


@functools.cache
def ten_steps():
    return fit(*make_run(), 10)


def numbers(state):
    return jax.device_get(state.replace(key=None))


@pytest.mark.parametrize("make", [train.make_alternating_step, train.make_simultaneous_step])
def test_players_multiply_in_16_bits_and_keep_32(make):
    _, state, loader = make_run()
    step = make(GAME.losses, MOMENTUM, precision="bfloat16")
    jaxpr, (after, metrics) = jax.make_jaxpr(step, return_shape=True)(state, loader.batch(0))
    products = [eqn for eqn in equations(jaxpr.jaxpr) if eqn.primitive.name == "dot_general"]
    assert {variable.aval.dtype.name for eqn in products for variable in eqn.invars} == {"bfloat16"}
    forms = [jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree) for tree in (after, state)]
    assert forms[0] == forms[1]
    assert {leaf.dtype.name for leaf in jax.tree.leaves(metrics)} == {"float32"}


def test_a_run_is_one_program_and_moves_both_players():
    step, state, loader = make_run()
    traced = []

    def counted(state, batch):
        traced.append(1)
        return step(state, batch)

    final, history = fit(counted, state, loader, 10)
    assert len(traced) == 1
    assert final.step == 10
    assert {"train/generator_loss", "train/discriminator_real", "train/generator_learning_rate"} <= history[-1].keys()
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), numbers(state).params, numbers(final).params)
    assert all(jax.tree.leaves(moved))
    stats = jax.tree.map(lambda a, b: bool(np.any(a != b)), state.collections, numbers(final).collections)
    assert all(jax.tree.leaves(stats))
    chex.assert_trees_all_equal(numbers(final), numbers(ten_steps()[0]))


def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(tmp_path):
    step, state, loader = make_run()
    checkpoints = train.Checkpoints(tmp_path, config={})
    half, _ = fit(step, state, loader, 5)
    checkpoints.save(half)
    resumed, _ = train.fit(step, checkpoints.restore(state), loader, epochs=2)
    chex.assert_trees_all_equal(numbers(resumed), numbers(ten_steps()[0]))


def test_eight_devices_equal_one():
    _, state, loader = make_run()
    mesh = parallel.make_mesh({"data": 8})
    step = train.make_alternating_step(GAME.losses, MOMENTUM, updates=UPDATES, mesh=mesh)
    many, _ = fit(step, parallel.place(state, mesh), loader, 10, mesh=mesh)
    chex.assert_trees_all_close(numbers(many), numbers(ten_steps()[0]), rtol=0, atol=1e-5)


def test_a_nonfinite_step_of_one_player_is_skipped_for_both():
    step = train.skip_nonfinite(train.make_alternating_step(LOSSES, OPTIMIZERS))
    after, metrics = step(make_state(), {"row": jnp.array([1.0, jnp.nan])})
    assert metrics["skipped"] == 1
    assert (after.params["x"], after.params["y"], after.step) == (1.0, 2.0, 1)
