"""Every kind of file gives the same arrays; what could run code, or is damaged, is refused."""

import contextlib
import importlib
import io
import json
import pickle
import struct
import sys
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import safe_open

from jaxdl import pretrained
from tests.peers import torch

ENTRIES = {"conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2), "conv.bias": np.float32([1, 2])}


def assert_same(arrays):
    assert arrays.keys() == ENTRIES.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, ENTRIES[name])
        assert array.dtype == np.float32


def npz(**arrays):
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def tensors(library):
    return {name: library.tensor(array) for name, array in ENTRIES.items()}


def test_every_kind_of_file_gives_the_same_arrays_whatever_its_name(tmp_path):
    library = torch()
    path = tmp_path / "weights"
    writers = {
        "safetensors": lambda: pretrained.save(path, ENTRIES),
        "npz": lambda: path.write_bytes(npz(**ENTRIES)),
        "torch": lambda: library.save(tensors(library), path),
        "torch of old": lambda: library.save(tensors(library), path, _use_new_zipfile_serialization=False),
        "parameters": lambda: library.save({n: library.nn.Parameter(t) for n, t in tensors(library).items()}, path),
        "pickle": lambda: path.write_bytes(pickle.dumps({"conv": {n.split(".")[1]: a for n, a in ENTRIES.items()}})),
        "old pickle": lambda: path.write_bytes(pickle.dumps(ENTRIES, protocol=3)),
        "new pickle": lambda: path.write_bytes(pickle.dumps(ENTRIES, protocol=5)),
    }
    for kind, write in writers.items():
        write()
        try:
            assert_same(pretrained.read(path))
        except Exception as error:
            raise AssertionError(kind) from error


def test_mappings_of_tensors_arrays_and_jax_arrays_are_taken():
    assert_same(pretrained.read(tensors(torch())))
    assert_same(pretrained.read(ENTRIES))
    assert_same(pretrained.read({name: jnp.asarray(array) for name, array in ENTRIES.items()}))


def test_bfloat16_of_torch_and_of_safetensors_keeps_its_numbers(tmp_path):
    library = torch()
    tensor = library.tensor([1.0, -2.5, 3e30]).bfloat16()
    expected = tensor.float().numpy()
    np.testing.assert_array_equal(pretrained.read({"a": tensor})["a"], expected)
    pretrained.save(tmp_path / "a", {"a": jnp.asarray(expected, jnp.bfloat16)})
    array = pretrained.read(tmp_path / "a")["a"]
    assert array.dtype == jnp.bfloat16
    np.testing.assert_array_equal(array.astype(np.float32), expected)


def test_fortran_order_and_other_byte_orders_are_understood(tmp_path):
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    (tmp_path / "a").write_bytes(pickle.dumps({"a": array, "b": array.astype(">f4")}))
    arrays = pretrained.read(tmp_path / "a")
    np.testing.assert_array_equal(arrays["a"], array)
    np.testing.assert_array_equal(arrays["b"], array)


def test_one_of_several_dictionaries_is_chosen(tmp_path):
    library = torch()
    library.save({"epoch": 3, "model": tensors(library), "ema": {}}, tmp_path / "a")
    assert_same(pretrained.read(tmp_path / "a", "model"))
    with pytest.raises(ValueError, match="give entry='model', or one of"):
        pretrained.read(tmp_path / "a")
    with pytest.raises(ValueError, match="dictionary 'epoch', got the entries epoch, model, ema"):
        pretrained.read(tmp_path / "a", "epoch")
    nested = {"last": {"optimizer": {"state": {}}, "model": ENTRIES}}
    assert_same(pretrained.read(nested, "last/model"))
    with pytest.raises(ValueError, match="give entry='last/model', or one of"):
        pretrained.read(nested, "last")


def test_counters_and_masks_of_a_pickle_are_read_as_those_of_a_mapping(tmp_path):
    entries = {"weight": np.float32([1, 2]), "bn.num_batches_tracked": np.array(7), "mask": np.array([True, False])}
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / "a").write_bytes(pickle.dumps(entries, protocol))
        arrays, expected = pretrained.read(tmp_path / "a"), pretrained.read(entries)
        assert arrays.keys() == expected.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, expected[name], strict=True)


def test_one_of_several_dictionaries_of_a_pickle_is_chosen(tmp_path):
    conv = {"conv": {name.split(".")[1]: array for name, array in ENTRIES.items()}}
    (tmp_path / "a").write_bytes(pickle.dumps({"epoch": 3, "last": {"model": conv, "opt": {}}, "weight": ENTRIES}))
    assert_same(pretrained.read(tmp_path / "a", "last/model"))
    assert_same(pretrained.read(tmp_path / "a", "weight"))
    with pytest.raises(ValueError, match="epoch is a int"):
        pretrained.read(tmp_path / "a")
    with pytest.raises(ValueError, match="dictionary 'model', got the entries epoch, last, weight"):
        pretrained.read(tmp_path / "a", "model")


def test_no_entry_takes_the_place_of_another(tmp_path):
    one, other = ENTRIES.values()
    (tmp_path / "a").write_bytes(pickle.dumps({"a.b": one, "a": {"b": other}}))
    with pytest.raises(ValueError, match=r"two entries 'a\.b'"):
        pretrained.read(tmp_path / "a")
    (tmp_path / "a").write_bytes(pickle.dumps({1: one, "1": other}))
    with pytest.raises(ValueError, match="a key that is no text but a number"):
        pretrained.read(tmp_path / "a")
    with pytest.raises(ValueError, match="two entries '1'"):
        pretrained.read({1: one, "1": other})


def test_what_stands_before_the_names_is_left_out_and_names_without_it_with_it():
    wrapped = {f"module.{name}": array for name, array in ENTRIES.items()} | {"epoch": 3}
    assert_same(pretrained.read(wrapped, prefix="module."))
    with pytest.raises(ValueError, match="prefix='model"):
        pretrained.read(wrapped, prefix="model.")


class Evil:
    """A pickle that would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_what_could_run_code_is_refused_and_does_not_run(tmp_path):
    library = torch()
    path, made = tmp_path / "a", tmp_path / "made"
    holds = {"weight": ENTRIES["conv.bias"], "evil": Evil(made)}
    library.save(holds, path)
    with pytest.raises(ValueError, match=r"more than tensors in dictionaries.*refused"):
        pretrained.read(path)
    path.write_bytes(pickle.dumps(holds))
    with pytest.raises(ValueError, match="open is not allowed"):
        pretrained.read(path)
    library.save(library.nn.Linear(2, 2), path)
    with pytest.raises(ValueError, match="refused"):
        pretrained.read(path)
    path.write_bytes(npz(a=np.array([Evil(made)], object)))
    with pytest.raises(ValueError, match="no npz file of plain arrays"):
        pretrained.read(path)
    assert not made.exists()


def test_what_is_no_weights_is_refused(tmp_path):
    path = tmp_path / "a"

    def refused(content, message):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            pretrained.read(path)

    pretrained.save(path, ENTRIES)
    whole = path.read_bytes()
    refused(whole[:-1], "damaged")
    refused(b"", "neither a safetensors, an npz nor a torch file")
    refused(b"<html>no such file</html>", "starts with b'<html>")
    refused(b"PK\x03\x04 and nothing", "damaged npz or torch file")
    refused(pickle.dumps([1]), "a list in place of a dictionary")
    refused(pickle.dumps({"a": np.zeros(3, complex)}), r"a: .*got 'c16'")
    refused(pickle.dumps({"a": "text"}), "a is a str")
    within = {}
    within["a"] = within
    refused(pickle.dumps(within), "an object within itself")
    refused(pickle.dumps(ENTRIES)[:-30], "damaged")
    refused(b'{"weight_map": {}}', "the index of several files")
    with pytest.raises(ValueError, match="got others for name"):
        pretrained.read({"name": "resnet"})
    with pytest.raises(ValueError, match="got others for name"):
        pretrained.save(path, {"name": "resnet"})
    with pytest.raises(ValueError, match=r"conv\.weight: a list that is no array: .*inhomogeneous"):
        pretrained.read({"conv.weight": [[1.0, 2.0], [3.0]]})
    with pytest.raises(TypeError, match="a file or named arrays, got int"):
        pretrained.read(3)


def test_tensors_without_an_array_and_models_are_refused():
    library = torch()
    with pytest.raises(ValueError, match=r"a: a Tensor that is no array: .*to_dense"):
        pretrained.read({"a": library.eye(2).to_sparse()})
    with pytest.raises(TypeError, match="got Linear: give its state_dict"):
        pretrained.read(library.nn.Linear(2, 2))


def test_a_torch_file_that_holds_no_weights_is_refused(tmp_path):
    library, path = torch(), tmp_path / "a"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", b"nothing")
    with pytest.raises(ValueError, match=r"damaged|refused"):
        pretrained.read(path)
    library.save(library.ones(2), path)
    with pytest.raises(ValueError, match="no dictionary of tensors but a Tensor"):
        pretrained.read(path)


def test_without_torch_a_torch_file_says_what_to_install(tmp_path, monkeypatch):
    torch().save({}, tmp_path / "a")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="pip install torch, or convert it to safetensors"):
        pretrained.read(tmp_path / "a")


def test_a_saved_file_says_that_torch_can_read_it(tmp_path):
    pretrained.save(tmp_path / "a", ENTRIES)
    with safe_open(tmp_path / "a", framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2"])
def test_numbers_of_8_bits_are_kept(tmp_path, name):
    library = torch()
    tensor = library.tensor([[1.0, -2.0, 0.25], [0.0, 16.0, -0.5]]).to(getattr(library, name))
    expected = tensor.float().numpy()
    np.testing.assert_array_equal(pretrained.read({"a": tensor})["a"], expected)
    pretrained.save(tmp_path / "ours", {"a": np.asarray(expected, getattr(jnp, name))})
    importlib.import_module("safetensors.torch").save_file({"b": tensor, "a": tensor.clone()}, tmp_path / "theirs")
    for file in ("ours", "theirs"):
        array = pretrained.read(tmp_path / file)["a"]
        assert array.dtype == getattr(jnp, name)
        np.testing.assert_array_equal(array.astype(np.float32), expected)


def kinds_of_files(path):
    """Write small files of every format; yield their content."""
    library = torch()
    pretrained.save(path, ENTRIES)
    yield "safetensors", path.read_bytes()
    yield "npz", npz(**ENTRIES)
    for new in (True, False):
        library.save(tensors(library), path, _use_new_zipfile_serialization=new)
        yield f"torch, {'new' if new else 'old'}", path.read_bytes()
    for protocol in (2, 5):
        yield f"pickle {protocol}", pickle.dumps(ENTRIES, protocol)


def test_every_damaged_file_is_one_error_that_names_it(tmp_path):
    generator, path, errors = np.random.default_rng(0), tmp_path / "weights", []
    for kind, content in list(kinds_of_files(path)):
        for trial in range(60):
            damaged = bytearray(content)
            place = int(generator.integers(len(content) if trial % 2 else min(len(content), 300)))
            if trial % 3 == 0:
                del damaged[place:]
            elif trial % 3 == 1:
                damaged[place] ^= 1 << generator.integers(8)
            else:
                damaged[place : place + 8] = generator.bytes(8)
            path.write_bytes(damaged)
            try:
                arrays = pretrained.read(path)
            except ValueError as error:
                errors.append(str(error))
            else:
                assert all(isinstance(array, np.ndarray) for array in arrays.values())
                assert trial % 3, (kind, "a cut file was accepted")
    assert len(errors) > 200
    assert all("weights" in error and len(error) < 1500 for error in errors)


def test_entries_twice_and_forged_headers_are_refused_by_their_name(tmp_path):
    path = tmp_path / "a"

    def refused(message):
        with pytest.raises(ValueError, match=message):
            pretrained.read(path)

    with zipfile.ZipFile(path, "w") as file:
        for _ in range(2):
            with pytest.warns(UserWarning, match="Duplicate") if file.namelist() else contextlib.nullcontext():
                file.writestr("conv.npy", b"\x93NUMPY")
    refused("two entries 'conv.npy'")
    header = json.dumps({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}})[:-1]
    header = f'{header}, "a": {{"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}}}'.encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"x")
    refused("two entries 'a'")
    for shape in ("(2000000000000,)", "(-1,)", "(1000000, 1000000)"):
        text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
        forged = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + bytes(8)
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("conv.npy", forged)
        refused("conv.npy")
    library = torch()
    library.save({"a": library.zeros(1).expand(10**6, 10**6)}, path)
    refused("a repeats 4 bytes to 4000000000000")


def test_a_message_repeats_no_endless_name(tmp_path):
    name = "n" * 900_000
    pretrained.save(tmp_path / "a", {name: np.zeros(1, np.float32)})
    for call in (
        lambda: pretrained.read(tmp_path / "a", "model"),
        lambda: pretrained.read(tmp_path / "a", prefix="module."),
        lambda: pretrained.load("alexnet", tmp_path / "a"),
        lambda: pretrained.read({name: "text"}),
        lambda: pretrained.read({name: ENTRIES}),
    ):
        with pytest.raises(ValueError) as caught:
            call()
        assert len(str(caught.value)) < 5000
