import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxdl.train import DamagedError
from jaxdl.train.checkpointing import weights


def make_variables(dtype=jnp.float32):
    kernel = jnp.arange(6, dtype=dtype).reshape(2, 3)
    return {
        "params": {"dense": {"kernel": kernel, "bias": jnp.ones(3, jnp.bfloat16)}},
        "batch_stats": {"norm": {"mean": jnp.zeros((0, 2)), "count": jnp.int32(7)}},
    }


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


@pytest.fixture
def path(tmp_path):
    weights.save(tmp_path / "model.safetensors", make_variables())
    return tmp_path / "model.safetensors"


def test_load_returns_the_saved_weights(path):
    assert_same(weights.load(path), make_variables())
    like = jax.eval_shape(make_variables)
    assert_same(weights.load(path, like), make_variables())
    assert [file.name for file in path.parent.iterdir()] == ["model.safetensors"]


def test_equal_weights_give_equal_files(path):
    other = path.with_name("other.safetensors")
    weights.save(other, dict(reversed(make_variables().items())))
    assert other.read_bytes() == path.read_bytes()


def test_torch_reads_the_same_arrays_under_the_same_names(path):
    pytest.importorskip("torch", reason="torch is the peer")
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    assert set(tensors) == {
        "params/dense/kernel",
        "params/dense/bias",
        "batch_stats/norm/mean",
        "batch_stats/norm/count",
    }
    np.testing.assert_array_equal(tensors["params/dense/kernel"].numpy(), np.arange(6.0).reshape(2, 3))
    assert tensors["params/dense/bias"].tolist() == [1.0, 1.0, 1.0]
    foreign = path.with_name("foreign.safetensors")
    save_file(tensors, foreign)
    with pytest.raises(ValueError, match="got none"):
        weights.load(foreign)
    assert_same(weights.load(foreign, verify=False), make_variables())


def test_every_changed_bit_raises_with_its_leaf(path):
    original = path.read_bytes()
    header = 8 + int.from_bytes(original[:8], "little")
    generator = np.random.default_rng(0)
    for position in [*range(0, header, 3), *range(header, len(original))]:
        damaged = bytearray(original)
        damaged[position] ^= 1 << generator.integers(8)
        path.write_bytes(damaged)
        with pytest.raises(ValueError) as error:
            weights.load(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
        if position >= header:
            assert isinstance(error.value, DamagedError)
            assert "is damaged at leaf " in str(error.value)
    for length in range(0, len(original), 5):
        path.write_bytes(original[:length])
        with pytest.raises(DamagedError, match=r"model\.safetensors"):
            weights.load(path)


def test_other_leaves_raise_by_name_and_nothing_is_cast(path):
    like = make_variables(jnp.bfloat16)
    like["params"]["more"] = jnp.zeros(4)
    del like["batch_stats"]
    with pytest.raises(ValueError) as error:
        weights.load(path, like)
    lines = str(error.value).splitlines()
    assert "got 4 that differ" in lines[0]
    assert [line.strip() for line in lines[1:]] == [
        "batch_stats/norm/count: expected nothing, got int32[]",
        "batch_stats/norm/mean: expected nothing, got float32[0, 2]",
        "params/dense/kernel: expected bfloat16[2, 3], got float32[2, 3]",
        "params/more: expected float32[4], got nothing",
    ]


def test_64_bits_are_never_narrowed_to_32(path):
    weights.save(path, {"w": np.array([1e-300])})
    with pytest.raises(ValueError, match=r"got w in .* set jax_enable_x64"):
        weights.load(path)
    with jax.enable_x64(True):
        assert weights.load(path)["w"][0] == 1e-300


def file_of(header, length=None, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    "content",
    [
        file_of({}, length=10**12),
        file_of(b"[" * 100_000),
        file_of(b"[1, 2]"),
        file_of({"w": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4]}}, data=b"1234"),
        file_of({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4 * 10**12]}}),
        file_of({"w": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}, data=b"1234"),
        pickle.dumps({"w": np.zeros(9)}),
        b"",
    ],
)
def test_hostile_files_raise(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"not a safetensors file|got none"):
        weights.load(path)
    with pytest.raises(DamagedError, match="not a safetensors file"):
        weights.load(path, verify=False)


def test_the_error_names_the_size_of_a_header(path):
    path.write_bytes(file_of({}, length=10**12))
    with pytest.raises(DamagedError, match="a header of 1,000,000,000,000 bytes in 10"):
        weights.load(path)


def test_a_leaf_above_other_leaves_raises(path):
    numbers = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    more = {**numbers, "data_offsets": [4, 8]}
    for names in (("a", "a/b"), ("a/b", "a")):
        path.write_bytes(file_of(dict(zip(names, (numbers, more), strict=True)), data=bytes(8)))
        with pytest.raises(ValueError, match=r"expected no leaf|expected no leaves"):
            weights.load(path, verify=False)


def test_unsupported_leaves_raise_and_the_file_stays(path):
    before = path.read_bytes()
    for variables in ({"w": "text"}, {"w": jnp.ones(2, jnp.int4)}, {"w": jnp.ones(2, jnp.float8_e5m2)}, {"w": [1.0]}):
        with pytest.raises(TypeError, match=r"expected (arrays|weights)"):
            weights.save(path, variables)
    with pytest.raises(TypeError, match="key"):
        weights.save(path, {"w": jax.random.key(0)})
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.text(min_size=1).filter(lambda name: "/" not in name), unique=True, max_size=4))
def test_every_name_survives_or_raises(path, names):
    variables = {name: np.float32([number]) for number, name in enumerate(names)}
    try:
        weights.save(path, variables)
    except (TypeError, ValueError):
        assert "__metadata__" in names or not "".join(names).isprintable()
        return
    assert weights.load(path).keys() == variables.keys()
