"""Every kind of file gives the same arrays; what could run code, or is damaged, is refused."""

import io
import pickle
import sys
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest

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
    for holds, name in ({"a.b": one, "a": {"b": other}}, "'a.b'"), ({1: one, "1": other}, "'1'"):
        (tmp_path / "a").write_bytes(pickle.dumps(holds))
        with pytest.raises(ValueError, match=f"two entries {name}"):
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
    refused(pickle.dumps(within), "maximum recursion depth")
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
