"""The scan over time against a plain loop and automatic differentiation; memory, sharding and dtypes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import tree
from jaxdl.nn import recurrent
from jaxdl.nn.recurrent import cells
from jaxdl.train import parallel
from jaxdl.train.parallel.communication import list_collectives
from tests.nn.recurrent.cases import (
    LENGTHS,
    MASK,
    WITH_VJP_RULE,
    B,
    D,
    H,
    T,
    close,
    draw,
    draw_carry,
    inputs,
    scan_with_carry,
    value_and_gradients,
    weigh,
)
from tests.variables import draw as draw_variables


def plain_loop(cell, parameters, x, carry, mask=None, reverse=False):
    """The definition: one step after the other, in Python."""
    outputs = [None] * x.shape[1]
    for t in reversed(range(x.shape[1])) if reverse else range(x.shape[1]):
        new, y = cell(parameters, carry, x[:, t])
        keep = jnp.ones((x.shape[0], 1), bool) if mask is None else mask[:, t, None] != 0
        outputs[t] = jnp.where(keep, y, 0)
        carry = jax.tree.map(lambda a, b, keep=keep: jnp.where(keep, a, b), new, carry)
    return carry, jnp.stack(outputs, axis=1)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_the_scan_equals_the_plain_loop(name):
    cell, reverse = WITH_VJP_RULE[name], name == "gru"
    arrays = draw(cell), inputs()[:, :3], draw_carry(cell)
    ours = value_and_gradients(lambda p, x, c: recurrent.scan(cell, p, x, c, mask=MASK[:, :3], reverse=reverse))
    loop = value_and_gradients(lambda p, x, c: plain_loop(cell, p, x, c, MASK[:, :3], reverse))
    jax.tree.map(close, ours(*arrays), loop(*arrays))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", WITH_VJP_RULE)
def test_the_custom_vjp_equals_automatic_differentiation(name):
    cell, reverse = WITH_VJP_RULE[name], name in ("vanilla", "lstm, sigmoid", "gru")
    arrays = draw(cell), inputs(), draw_carry(cell)
    ours, automatic = (
        value_and_gradients(
            lambda p, x, c, custom=custom: recurrent.scan(cell, p, x, c, mask=MASK, reverse=reverse, custom_vjp=custom)
        )(*arrays)
        for custom in (True, False)
    )
    jax.tree.map(close, ours, automatic)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["vanilla", "lstm", "gru"])
def test_remat_chunks_change_nothing(name):
    cell = WITH_VJP_RULE[name]
    arrays = draw(cell), inputs(), draw_carry(cell)
    expected, ours = (
        value_and_gradients(lambda p, x, c, chunks=chunks: recurrent.scan(cell, p, x, c, remat_chunks=chunks))(*arrays)
        for chunks in (1, 2)
    )
    jax.tree.map(close, ours, expected)


@pytest.mark.usefixtures("float64")
def test_tbptt_stops_the_gradient_between_chunks_and_changes_no_value():
    cell = cells.GRU(H)
    arrays = draw(cell), inputs(), draw_carry(cell)

    def by_hand(parameters, x, carry):
        outputs = []
        for chunk in (x[:, :2], x[:, 2:4], x[:, 4:]):
            carry, y = recurrent.scan(cell, parameters, chunk, jax.lax.stop_gradient(carry))
            outputs.append(y)
        return carry, jnp.concatenate(outputs, axis=1)

    full, ours, both, expected = (
        value_and_gradients(run)(*arrays)
        for run in (
            partial(scan_with_carry, cell, tbptt_length=T),
            partial(scan_with_carry, cell, tbptt_length=2),
            partial(scan_with_carry, cell, tbptt_length=2, remat_chunks=2),
            by_hand,
        )
    )
    jax.tree.map(close, ours, expected)
    jax.tree.map(close, both, expected)
    jax.tree.map(close, full[0], expected[0])
    jax.tree.map(close, full, value_and_gradients(partial(scan_with_carry, cell))(*arrays))
    assert np.abs(full[1][1] - expected[1][1]).max() > 0.01


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("cell", [cells.LSTM(H), cells.Jordan(H, 2)], ids=["custom_vjp", "automatic"])
def test_padding_changes_no_result_and_no_gradient(cell):
    arrays = draw(cell), inputs(), draw_carry(cell)
    run = value_and_gradients(lambda p, x, c: recurrent.bidirectional_scan(cell, p, x, c, lengths=LENGTHS))
    both = {"forward": arrays[0], "backward": draw(cell, seed=5)}, {"forward": arrays[2], "backward": arrays[2]}
    padding = (np.arange(T) >= LENGTHS[:, None])[..., None]
    expected = run(both[0], arrays[1], both[1])
    for garbage in (1e30, np.nan):
        (_, outputs), gradients = run(both[0], np.where(padding, garbage, arrays[1]), both[1])
        jax.tree.map(np.testing.assert_array_equal, (outputs, gradients), (expected[0][1], expected[1]))
    assert not np.any(np.where(padding, outputs[1], 0))
    assert not np.any(np.where(padding, gradients[1], 0))


@pytest.mark.usefixtures("float64")
def test_padded_sequences_equal_the_short_ones_in_both_directions():
    cell, parameters = cells.GRU(H), draw(cells.GRU(H))
    x = inputs()
    for reverse in (False, True):
        carry, y = jax.jit(partial(recurrent.scan, cell, reverse=reverse))(parameters, x, lengths=LENGTHS)
        for n, length in enumerate(LENGTHS):
            short = x[n : n + 1, :length]
            expected, outputs = plain_loop(cell, parameters, short, np.zeros((1, H)), reverse=reverse)
            close(carry[n], expected[0])
            close(y[n, :length], outputs[0])


def dots_in_loops(function, *arrays):
    """Count the matrix products in the body of every loop of a function, in order."""
    counts = []

    def visit(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name == "scan":
                counts.append(str(equation.params["jaxpr"]).count("dot_general"))
            else:
                for value in equation.params.values():
                    if hasattr(value, "jaxpr") or hasattr(value, "eqns"):
                        visit(getattr(value, "jaxpr", value))

    visit(jax.make_jaxpr(function)(*arrays).jaxpr)
    return counts


@pytest.mark.parametrize("name", ["vanilla", "lstm", "gru"])
def test_both_loops_have_one_product_per_step(name):
    cell = WITH_VJP_RULE[name]
    arrays = draw(cell), inputs(), draw_carry(cell)
    run = partial(scan_with_carry, cell)
    assert dots_in_loops(run, *arrays) == [1]
    assert dots_in_loops(jax.grad(lambda *args: weigh(*run(*args)), argnums=(0, 1, 2)), *arrays) == [1, 1]


def test_remat_chunks_need_less_memory():
    steps, cell = 256, cells.LSTM(H)

    def memory(chunks):
        run = jax.grad(lambda p, x: weigh(*recurrent.scan(cell, p, x, remat_chunks=chunks)))
        shapes = jax.eval_shape(lambda: cells.init_cell(jax.random.key(0), cell, D)), jnp.zeros((8, steps, D))
        return jax.jit(run).lower(*shapes).compile().memory_analysis().temp_size_in_bytes

    assert memory(16) < memory(1) / 3


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["vanilla", "gru", "gru, reset before", "lstm"])
def test_a_sharded_batch_is_not_gathered(name):
    mesh = parallel.make_mesh({"data": 4})
    cell = WITH_VJP_RULE[name]
    batch = {"x": np.random.default_rng(0).normal(size=(8, T, D)), "mask": np.arange(T) < np.arange(8)[:, None]}

    @jax.jit
    def gradient(parameters, batch):
        return jax.grad(lambda p, batch: weigh(*recurrent.scan(cell, p, **batch)), argnums=0)(parameters, batch)

    inputs = parallel.place(draw(cell), mesh), parallel.place_batch(batch, mesh)
    compiled = gradient.lower(*inputs).compile()
    assert {found.kind for found in list_collectives(compiled)} == {"all-reduce"}
    jax.tree.map(close, compiled(*inputs), gradient(draw(cell), batch))


def test_leading_dimensions_are_batch_dimensions():
    cell, parameters = cells.LSTM(H), jax.tree.map(jnp.float32, draw(cells.LSTM(H)))
    x = jnp.asarray(inputs(), jnp.float32)
    run = jax.jit(partial(recurrent.scan, cell))
    carry, y = run(parameters, x, lengths=LENGTHS)
    nested, y_nested = run(parameters, x[None], lengths=LENGTHS[None])
    np.testing.assert_array_equal(y_nested, y[None])
    np.testing.assert_array_equal(nested.c, carry.c[None])
    one, y_one = run(parameters, x[1], lengths=2)
    np.testing.assert_allclose(y_one, y[1], atol=1e-6)
    np.testing.assert_allclose(one.h, carry.h[1], atol=1e-6)


def test_the_scan_takes_the_dtype_of_its_input_and_maps_over_parameters():
    cell = cells.GRU(H)
    parameters = jax.tree.map(lambda *leaves: np.stack(leaves).astype(np.float32), draw(cell), draw(cell, seed=2))
    x = inputs().astype(jnp.bfloat16)

    @jax.jit
    @partial(jax.vmap, in_axes=(0, None))
    @partial(jax.value_and_grad, has_aux=True)
    def run(parameters, x):
        carry, y = recurrent.scan(cell, parameters, x)
        return weigh(carry, y).astype(jnp.float32), y

    (_, y), gradients = run(parameters, x)
    assert y.dtype == jnp.bfloat16
    assert y.shape == (2, B, T, H)
    assert jax.tree.map(jnp.shape, gradients) == jax.tree.map(jnp.shape, parameters)
    _, expected = jax.jit(partial(recurrent.scan, cell))(tree.take(parameters, 1), x.astype(np.float32))
    np.testing.assert_allclose(np.asarray(y)[1].astype(np.float32), expected, atol=0.03)


@pytest.mark.usefixtures("float64")
def test_forward_mode_works_without_custom_vjp():
    cell = cells.GRU(H)
    parameters, x = draw(cell), inputs()
    run = jax.jit(partial(recurrent.scan, cell, parameters, custom_vjp=False))
    _, tangent = jax.jit(lambda x: jax.jvp(lambda x: run(x)[1], (x,), (x,)))(x)
    step = 1e-6
    above, below = (np.asarray(run(x * (1 + sign * step))[1]) for sign in (1, -1))
    close(tangent, (above - below) / (2 * step), rtol=1e-6, atol=1e-8)


@pytest.mark.usefixtures("float64")
def test_a_stream_in_chunks_with_carried_state_equals_the_whole():
    cell = cells.LSTM(H)
    parameters, x = draw(cell), inputs()
    chunks = recurrent.split_time({"x": x, "mask": np.arange(T) < LENGTHS[:, None]}, 2)
    assert chunks["x"].shape == (3, B, 2, D)
    carry, outputs = cell.init_carry((B,), jnp.float64), []
    run = jax.jit(lambda carry, batch: recurrent.scan(cell, parameters, batch["x"], carry, mask=batch["mask"]))
    chunks = jax.device_get(chunks)
    for n in range(3):
        carry, y = run(carry, tree.take(chunks, n))
        outputs.append(np.asarray(y))
    expected, y = jax.jit(partial(recurrent.scan, cell))(parameters, x, lengths=LENGTHS)
    jax.tree.map(close, (carry, np.concatenate(outputs, axis=1)[:, :T]), (expected, y))


def test_the_module_equals_the_stack_with_dropout_between_layers_alone(key):
    cell, x = cells.Vanilla(H), jnp.ones((B, T, D))
    module = recurrent.RNN(cell, num_layers=2, bidirectional=True, dropout_rate=0.5)
    variables = draw_variables(module.init, key, x)
    drawn = jax.eval_shape(partial(recurrent.init_stacked, cells=[cell] * 2, input_size=D, bidirectional=True), key)
    assert jax.tree.map(jnp.shape, variables["params"]) == jax.tree.map(jnp.shape, drawn)

    apply = jax.jit(module.apply, static_argnames="train")
    carries, y = apply(variables, x, lengths=LENGTHS)
    expected, y_expected = jax.jit(partial(recurrent.stacked_scan, [cell] * 2, bidirectional=True))(
        variables["params"], x, lengths=LENGTHS
    )
    jax.tree.map(np.testing.assert_array_equal, (carries, y), (expected, y_expected))
    dropped, y_dropped = apply(variables, x, train=True, rngs={"dropout": key})
    plain, y_plain = apply(variables, x)
    jax.tree.map(np.testing.assert_array_equal, dropped[0], plain[0])
    assert np.abs(y_dropped - y_plain).max() > 0.01
    assert np.abs(y_dropped).min() > 0


def run(name, *args, **options):
    return recurrent.scan(WITH_VJP_RULE[name], *args, **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, x: run("gru", p, x[0, 0]), r"got \(2,\)"),
        (lambda p, x: run("gru", p, x.astype(int)), "got .* int"),
        (lambda p, x: run("gru", p, x[:, :0]), r"got \(3, 0, 2\)"),
        (lambda p, x: run("gru", p, x, lengths=[1, 2]), r"\(3,\).* got \(2,\)"),
        (lambda p, x: run("gru", p, x, lengths=[1, 6, 5]), "from 0 to 5.* got 1 to 6"),
        (lambda p, x: run("gru", p, x, lengths=[1, -1, 5]), "from 0 to 5.* got -1 to 5"),
        (lambda p, x: run("gru", p, x, lengths=[1.5, 2.0, 3.0]), "got float"),
        (lambda p, x: run("gru", p, x, mask=np.ones((B, 2))), r"\(3, 5\).* got \(3, 2\)"),
        (lambda p, x: run("gru", p, x, lengths=LENGTHS, mask=MASK), "got both"),
        (lambda p, x: run("gru", p, x, np.zeros((2, H))), r"\(3, 4\), got \(2, 4\)"),
        (lambda p, x: run("lstm", draw(WITH_VJP_RULE["lstm"]), x, np.zeros((B, H))), "LSTMState.* got"),
        (lambda p, x: run("gru", p, x[..., :1]), r"'kernel': \(1, 12\).* got .*'kernel': \(2, 12\)"),
        (lambda p, x: run("gru", {}, x), "got {}"),
        (lambda p, x: run("gru", [p], x), "got list"),
        (lambda p, x: run("gru", p, x, backend="cuda"), "got 'cuda'"),
        (lambda p, x: run("gru", p, x, remat_chunks=0), "got 0 and None"),
        (lambda p, x: run("gru", p, x, tbptt_length=0), "got 1 and 0"),
        (lambda p, x: recurrent.bidirectional_scan(WITH_VJP_RULE["gru"], {"forward": p}, x), "got .'forward'"),
        (lambda p, x: recurrent.stacked_scan([WITH_VJP_RULE["gru"]] * 2, {"layer0": p}, x), "got .'layer0'"),
        (lambda p, x: recurrent.stacked_scan([WITH_VJP_RULE["gru"]], {"layer0": p}, x, []), "got 0"),
        (lambda p, x: recurrent.split_time({"x": x}, 0), "got 0"),
    ],
)
def test_invalid_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call(draw(WITH_VJP_RULE["gru"]), inputs())


def test_a_mask_that_is_added_to_scores_raises():
    with pytest.raises(ValueError, match="got -10000"):
        recurrent.scan(cells.Vanilla(1), {}, np.ones((1, 2, 1), np.float32), mask=np.array([[0.0, -1e4]]))


def test_chunks_of_a_batch_without_sequences():
    def run(x):
        parameters = recurrent.init_cell(jax.random.key(0), cells.GRU(2), 1)
        return recurrent.scan(cells.GRU(2), parameters, x, remat_chunks=2)[1]

    assert jax.eval_shape(run, jax.ShapeDtypeStruct((0, 5, 1), np.float32)).shape == (0, 5, 2)
