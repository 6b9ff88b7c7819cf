"""Recurrent weights of torch, Keras and flax: the same outputs, and back to the same entries."""

import os
import warnings

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.nn import recurrent
from jaxdl.nn.recurrent import cells
from jaxdl.pretrained.recurrent import export_cell, export_torch, load_cell, load_torch

D, H, B, T = 3, 4, 2, 5
CELLS = {"vanilla": cells.Vanilla(H), "lstm": cells.LSTM(H), "gru": cells.GRU(H)}


def draw(cell, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape) for name, (_, shape) in cell.shapes(D).items()}


def sequence():
    return np.random.default_rng(1).normal(size=(B, T, D))


@pytest.fixture
def keras_layers():
    """Keras on JAX, in single precision: it computes parts in it whatever the dtype."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    with warnings.catch_warnings(), jax.numpy_rank_promotion("allow"):
        warnings.simplefilter("ignore")
        yield pytest.importorskip("keras", reason="parity with Keras").layers


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", CELLS)
def test_stacked_layers_in_both_directions_compute_what_torch_computes(name):
    torch = pytest.importorskip("torch", reason="parity with torch")
    kind = {"vanilla": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[name]
    network = kind(D, H, num_layers=2, bidirectional=True, batch_first=True).double()
    options = {"num_layers": 2, "bidirectional": True}
    state = {key: value.clone() for key, value in network.state_dict().items()}
    parameters = load_torch(state, CELLS[name], **options)
    x = sequence()
    _, y = jax.jit(recurrent.RNN(CELLS[name], **options).apply)({"params": parameters}, x)
    np.testing.assert_allclose(y, network(torch.tensor(x))[0].detach().numpy(), rtol=1e-10, atol=1e-12)

    back = export_torch(parameters, CELLS[name], **options)
    network.load_state_dict({key: torch.tensor(np.array(value)) for key, value in back.items()})
    np.testing.assert_allclose(y, network(torch.tensor(x))[0].detach().numpy(), rtol=1e-10, atol=1e-12)
    again = load_torch(back, CELLS[name], **options)
    assert jax.tree.all(jax.tree.map(np.array_equal, again, parameters))


@pytest.mark.parametrize("name", ["vanilla", "lstm", "gru", "gru, reset before"])
def test_a_layer_computes_what_keras_computes(name, keras_layers):
    cell = (CELLS | {"gru, reset before": cells.GRU(H, reset="before")})[name]
    layer = {
        "vanilla": keras_layers.SimpleRNN(H, return_sequences=True),
        "lstm": keras_layers.LSTM(H, return_sequences=True),
        "gru": keras_layers.GRU(H, reset_after=True, return_sequences=True),
        "gru, reset before": keras_layers.GRU(H, reset_after=False, return_sequences=True),
    }[name]
    parameters, x = jax.tree.map(np.float32, (draw(cell), sequence()))
    entries = export_cell(parameters, cell, "keras")
    layer.build(x.shape)
    layer.set_weights([entries[key] for key in ("kernel", "recurrent_kernel", "bias")])
    theirs = np.asarray(layer(x))
    _, y = jax.jit(recurrent.scan, static_argnums=0)(cell, parameters, x)
    np.testing.assert_allclose(y, theirs, rtol=1e-5, atol=1e-6)
    again = load_cell(entries, cell, "keras")
    assert jax.tree.all(jax.tree.map(np.array_equal, again, parameters))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", CELLS)
def test_a_cell_computes_what_flax_computes(name):
    kind = {"vanilla": flax.linen.SimpleCell, "lstm": flax.linen.OptimizedLSTMCell, "gru": flax.linen.GRUCell}[name]
    cell, x = CELLS[name], sequence()
    parameters = draw(cell)
    entries = export_cell(parameters, cell, "flax")
    theirs = flax.linen.RNN(kind(H, param_dtype=jnp.float64)).apply({"params": {"cell": entries}}, jnp.asarray(x))
    _, y = jax.jit(recurrent.scan, static_argnums=0)(cell, parameters, x)
    np.testing.assert_allclose(y, theirs, rtol=1e-10, atol=1e-12)
    assert jax.tree.all(jax.tree.map(np.array_equal, load_cell(entries, cell, "flax"), parameters))


@pytest.mark.parametrize("reset", ["before", "after"])
def test_a_fresh_layer_of_keras_loads_into_its_own_kind_alone(reset, keras_layers):
    layer = keras_layers.GRU(H, reset_after=reset == "after")
    layer.build((B, T, D))
    entries = dict(zip(("kernel", "recurrent_kernel", "bias"), layer.get_weights(), strict=True))
    assert load_cell(entries, cells.GRU(H, reset=reset), "keras").keys() >= {"kernel", "bias"}
    other = "after" if reset == "before" else "before"
    with pytest.raises(ValueError, match=f"from keras; load into .*reset='{reset}'"):
        load_cell(entries, cells.GRU(H, reset=other), "keras")


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", CELLS)
def test_layers_without_biases_have_biases_of_zero(name):
    torch = pytest.importorskip("torch", reason="parity with torch")
    kind = {"vanilla": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[name]
    network = kind(D, H, bias=False, batch_first=True).double()
    parameters = load_torch(network.state_dict(), CELLS[name])
    x = sequence()
    _, y = jax.jit(recurrent.scan, static_argnums=0)(CELLS[name], parameters["layer0"], x)
    np.testing.assert_allclose(y, network(torch.tensor(x))[0].detach().numpy(), rtol=1e-10, atol=1e-12)
    kernels = {name: parameters["layer0"][name] for name in ("kernel", "recurrent_kernel")}
    assert not load_cell(kernels, CELLS[name], "keras")["bias"].any()


TORCH = {"weight_ih": (3 * H, D), "weight_hh": (3 * H, H), "bias_ih": (3 * H,), "bias_hh": (3 * H,)}


@pytest.mark.parametrize(
    ("cell", "source", "shapes", "message"),
    [
        (cells.GRU(H), "tensorflow", TORCH, "got 'tensorflow'"),
        (cells.PeepholeLSTM(H), "torch", TORCH, "got PeepholeLSTM"),
        (cells.GRU(H, update="write"), "torch", TORCH, "got GRU.*write"),
        (cells.GRU(H, reset="before"), "torch", TORCH, "got GRU.*before"),
        (cells.GRU(H), "torch", {"weight_ih": (3 * H, D)}, "expected the entries.* got"),
        (cells.LSTM(H), "torch", TORCH, r"kernel \[D, 16\].* got \["),
        (cells.GRU(H), "flax", TORCH, "expected the entries.* got"),
        (
            cells.LSTM(H),
            "keras",
            {"kernel": (D, 8), "recurrent_kernel": (H, 8), "bias": (8,)},
            r"\[16\].* got \[.* from keras",
        ),
        (
            cells.GRU(5),
            "keras",
            {"kernel": (D, 16), "recurrent_kernel": (5, 16), "bias": (16,)},
            r"got \[3, 16\]",
        ),
        (
            cells.GRU(H, reset="before"),
            "keras",
            {"kernel": (D, 3 * H), "recurrent_kernel": (H, 3 * H), "bias": (2, 3 * H)},
            "got two from keras",
        ),
    ],
)
def test_invalid_entries_raise(cell, source, shapes, message):
    with pytest.raises(ValueError, match=message):
        load_cell({name: np.ones(shape) for name, shape in shapes.items()}, cell, source)


def test_unexpected_and_missing_layers_raise():
    state = {f"{name}_l{index}": np.ones(shape) for name, shape in TORCH.items() for index in range(2)}
    with pytest.raises(ValueError, match=r"1 layers alone, got \['bias_hh_l1', "):
        load_torch(state, cells.GRU(H))
    with pytest.raises(ValueError, match=r"weight_ih_l2, .* got bias_hh_l0, "):
        load_torch(state, cells.GRU(H), num_layers=3)


def test_a_missing_bias_of_flax_raises():
    layers = {name: {"kernel": np.ones((D, H))} for name in ("ir", "iz", "in", "hr", "hz", "hn")}
    with pytest.raises(ValueError, match=r"bias in ir, got \['kernel'\]"):
        load_cell(layers, cells.GRU(H), "flax")
