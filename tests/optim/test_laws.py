"""What holds for every optimizer: it converges, composes, compiles once, can be donated, sharded and mapped."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import optim

# name: how to make it from a rate, and a rate with which it converges on Rosenbrock's valley
TABLE = {
    "sgd": (optim.sgd, 3e-3),
    "momentum": (optim.momentum, 1e-3),
    "nesterov": (optim.nesterov, 1e-3),
    "adagrad": (optim.adagrad, 1.0),
    "rmsprop": (optim.rmsprop, 1e-2),
    "adadelta": (optim.adadelta, 1.0),
    "adam": (optim.adam, 1e-2),
    "adamw": (partial(optim.adamw, weight_decay=1e-6), 1e-2),
    "adamax": (optim.adamax, 1e-2),
    "maxprop": (optim.maxprop, 3e-3),
    "nadam": (optim.nadam, 1e-2),
    "nadam_simplified": (optim.nadam_simplified, 1e-2),
    "nadam_momentum_decay": (optim.nadam_momentum_decay, 1e-2),
}
LAW = pytest.mark.parametrize(("make", "rate"), TABLE.values(), ids=TABLE)


def losses(params):
    x, y = params["rosenbrock"]
    return jnp.array([params["parabola"] @ params["parabola"], (1 - x) ** 2 + 100 * (y - x**2) ** 2])


def start():
    return {"parabola": jnp.array([1.0, -2.0]), "rosenbrock": jnp.array([-1.0, 1.0])}


def gradients_of(params):
    return jax.grad(lambda params: jnp.sum(losses(params)))(params)


def descend(optimizer, params, steps):
    def step(_, carry):
        params, state = carry
        update, state = optimizer.update(gradients_of(params), state, params)
        return optax.apply_updates(params, update), state

    return jax.lax.fori_loop(0, steps, step, (params, optimizer.init(params)))[0]


@LAW
def test_it_converges_on_a_parabola_and_in_a_valley(make, rate):
    steps = 4000
    optimizer = make(optim.schedules.cosine_decay(rate, steps))
    before, after = losses(start()), losses(jax.jit(descend, static_argnums=0)(optimizer, start(), steps))
    assert np.all(after < 1e-3 * before), after


@LAW
def test_it_maps_over_learning_rates(make, rate):
    def run(rate):
        return descend(make(rate), start(), 3)

    both = jax.jit(lambda rates: (jax.vmap(run)(rates), jax.lax.map(run, rates)))
    mapped, alone = both(np.float32([rate, 0.3 * rate]))
    chex.assert_trees_all_close(mapped, alone, rtol=1e-5)


@LAW
def test_it_composes_with_the_combinators_of_optax(make, rate):
    gradients = [
        {"a": jnp.array([1.0, -0.5]), "b": {"c": jnp.array(2.0)}},
        {"a": jnp.ones(2), "b": {"c": jnp.array(0.1)}},
    ]
    params = jax.tree.map(jnp.ones_like, gradients[0])
    wrapped = {
        "bare": make(rate),
        "chain": optax.chain(optax.scale(2.0), optim.clip(1e9), optax.scale(0.5), make(rate), optax.identity()),
        "multi_transform": optax.multi_transform({"x": make(rate), "y": make(rate)}, {"a": "x", "b": "y"}),
        "inject_hyperparams": optax.inject_hyperparams(make)(learning_rate=rate),
        "MultiSteps": optax.MultiSteps(make(rate), 2),
    }

    @jax.jit
    def run(gradients, params):
        states = {name: optimizer.init(params) for name, optimizer in wrapped.items()}
        all_updates = {name: [] for name in wrapped}
        for gradient in gradients:
            for name, optimizer in wrapped.items():
                update, states[name] = optimizer.update(gradient, states[name], params)
                if name == "MultiSteps":  # the mean of twice the same is the same; the first call changes nothing
                    update, states[name] = optimizer.update(gradient, states[name], params)
                all_updates[name].append(update)
        return all_updates, {name: optim.learning_rate(state) for name, state in states.items()}

    updates, rates = run(gradients, params)
    bare = updates.pop("bare")
    assert all(np.all(leaf != 0) for leaf in jax.tree.leaves(bare))
    for name, update in updates.items():
        chex.assert_trees_all_close(update, bare, rtol=2e-5, custom_message=name)
    np.testing.assert_allclose(list(rates.values()), rate, rtol=1e-6)


@LAW
def test_it_compiles_once_and_gives_its_memory_back(make, rate):
    chex.clear_trace_counter()
    optimizer = make(rate)

    @partial(jax.jit, donate_argnums=(0, 1))
    @chex.assert_max_traces(n=1)
    def step(params, state):
        update, state = optimizer.update(gradients_of(params), state, params)
        return optax.apply_updates(params, update), state

    params = start()
    state = optimizer.init(params)
    given = [leaf for leaf in jax.tree.leaves((params, state)) if leaf.ndim > 0]
    for _ in range(3):
        params, state = step(params, state)
    assert all(leaf.is_deleted() for leaf in given)
    chex.assert_tree_all_finite(params)


@LAW
def test_a_sharded_update_equals_an_unsharded_one(make, rate):
    assert len(jax.devices()) == 8
    optimizer = make(rate)
    update_once = jax.jit(optimizer.update)
    params = {"kernel": jnp.linspace(-1.0, 1.0, 32).reshape(16, 2), "bias": jnp.ones(2)}
    gradients = jax.tree.map(jnp.cos, params)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    split, whole = (jax.sharding.NamedSharding(mesh, jax.P(*axes)) for axes in (("data",), ()))
    shardings = {"kernel": split, "bias": whole}
    sharded_params, sharded_gradients = jax.device_put((params, gradients), (shardings, shardings))
    state, sharded_state = optimizer.init(params), optimizer.init(sharded_params)
    kernels = [leaf for leaf in jax.tree.leaves(sharded_state) if leaf.shape == (16, 2)]
    assert all(leaf.sharding == split for leaf in kernels)
    want, _ = update_once(gradients, state, params)
    got, new_state = update_once(sharded_gradients, sharded_state, sharded_params)
    assert got["kernel"].sharding.is_equivalent_to(split, 2)
    for leaf in jax.tree.leaves(new_state):
        assert leaf.shape != (16, 2) or leaf.sharding.is_equivalent_to(split, 2)
    chex.assert_trees_all_close(got, want, rtol=1e-6)


@LAW
def test_integers_are_type_errors(make, rate):
    optimizer, w = make(rate), {"a": {"b": jnp.ones(2)}}
    state = optimizer.init(w)
    for dtype in (jnp.int32, jnp.uint8, bool):
        integers = jax.tree.map(lambda leaf, dtype=dtype: leaf.astype(dtype), w)
        with pytest.raises(TypeError, match=f"parameters, got {jnp.dtype(dtype)} at 'a/b'"):
            optimizer.init(integers)
        with pytest.raises(TypeError, match=f"gradients, got {jnp.dtype(dtype)} at 'a/b'"):
            optimizer.update(integers, state, w)


PEERS = {
    "sgd": optax.sgd,
    "momentum": partial(optax.sgd, momentum=0.9),
    "nesterov": partial(optax.sgd, momentum=0.9, nesterov=True),
    "rmsprop": partial(optax.rmsprop, eps_in_sqrt=False),
    "adam": optax.adam,
    "adamw": partial(optax.adamw, weight_decay=1e-6),
    "nadam": optax.nadam,
}


@pytest.mark.parametrize("name", PEERS)
def test_a_complex_parameter_moves_as_optax_moves_it(name):
    make, rate = TABLE[name]
    rng = np.random.default_rng(0)
    w = rng.normal(size=3) + 1j * rng.normal(size=3)
    gradients = rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3))

    def run(optimizer, w, gradients):
        state = optimizer.init(w)
        for g in gradients:
            update, state = optimizer.update(g, state, w)
            w = w + update
        return w

    with jax.enable_x64(True):
        moved = jax.jit(run, static_argnums=0)(make(rate), w, gradients)
        expected = jax.jit(run, static_argnums=0)(PEERS[name](rate), w, gradients)
        np.testing.assert_allclose(moved, expected, rtol=1e-9)
    assert np.all(np.abs(np.asarray(moved) - w) > 0)
