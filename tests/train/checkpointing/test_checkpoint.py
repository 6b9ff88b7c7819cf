import errno
import fcntl
import hashlib
import json
import os
import pickle
import shutil
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import linen as nn
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxdl import data, optim, tasks, train
from jaxdl.train import leaves
from jaxdl.train.checkpointing import snapshot

CONFIG = {"model": "small", "learning_rate": 0.1}


class Small(nn.Module):
    """A model with parameters, batch statistics and dropout."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(nn.Dense(8)(x))
        return nn.Dense(3)(nn.Dropout(0.2, deterministic=not train)(nn.relu(x)))


def make_run():
    generator = np.random.default_rng(0)
    images = generator.normal(size=(45, 5)).astype(np.float32)
    loader = data.Loader({"image": images, "label": generator.integers(3, size=45).astype(np.int32)}, 8, seed=1)
    task, optimizer = tasks.classification(Small()), optim.momentum(0.1, 0.9)
    state = train.TrainState.create(task.init(jax.random.key(0), loader.batch(0)), optimizer, jax.random.key(1))
    return train.make_step(task.loss, optimizer), state, loader


def make_state(step=0, dtype=np.float32, shape=(2, 3)):
    """Make a state of few leaves, without a model."""
    numbers = np.arange(np.prod(shape)).reshape(shape).astype(dtype) + step
    variables = {"params": {"dense": {"kernel": numbers, "bias": np.ones(3, jnp.bfloat16)}}, "batch_stats": {"n": 2.0}}
    variables = jax.tree.map(jnp.asarray, variables)
    state = train.TrainState.create(variables, optax.sgd(0.1, momentum=0.9), jax.random.key(7))
    return state.replace(step=jnp.int32(step))


def bits(tree):
    """Return the dtype, shape and bytes of every leaf, keys included."""
    named = [
        (path, jax.random.key_data(leaf) if leaves.is_key(leaf) else leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]
    return {str(path): (str(leaf.dtype), leaf.shape, np.asarray(leaf).tobytes()) for path, leaf in named}


def contents(folder):
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(Path(folder).rglob("*"))}


def reseal(folder, change):
    """Change a manifest, and its digest with it."""
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    text = json.dumps(manifest).encode()
    (folder / "manifest.json").write_bytes(text)
    (folder / "manifest.sha256").write_text(f"{hashlib.sha256(text).hexdigest()}  manifest.json\n")


@pytest.fixture
def checkpoints(tmp_path):
    return train.Checkpoints(tmp_path / "checkpoints", config=CONFIG)


@pytest.fixture(scope="module")
def two_written(tmp_path_factory):
    """A folder with the checkpoints of steps 1 and 2, for copies."""
    made = train.Checkpoints(tmp_path_factory.mktemp("written") / "checkpoints", config=CONFIG)
    made.save(make_state(1), position={"step": 1})
    made.save(make_state(2), position={"step": 2})
    return made.directory


@pytest.fixture
def two(two_written, tmp_path):
    return train.Checkpoints(shutil.copytree(two_written, tmp_path / "two"), config=CONFIG)


def test_a_resumed_run_equals_an_uninterrupted_one_bitwise(checkpoints):
    step, state, loader = make_run()
    expected, _ = train.fit(step, jax.tree.map(jnp.copy, state), loader, epochs=3)
    like = jax.eval_shape(lambda: state)

    def stop(report):
        return train.STOP if report.step == 5 else None

    save = train.SaveEvery(checkpoints, position=loader.state())
    train.fit(step, state, loader, epochs=3, hooks=[stop, save])
    again = train.Checkpoints(checkpoints.directory, config=CONFIG)
    restored = again.restore(like)
    assert int(restored.step) == 5
    loader.restore(again.position())
    assert loader.position == 5
    resumed, _ = train.fit(step, restored, loader, epochs=3, hooks=[train.SaveEvery(again)])
    assert bits(resumed) == bits(expected)
    assert again.steps() == [10, 15]


def test_every_kind_of_leaf_is_restored_bitwise(checkpoints):
    class State(dict):
        step = 3

    jax.tree_util.register_pytree_with_keys(
        State,
        lambda state: ([(jax.tree_util.DictKey(name), state[name]) for name in sorted(state)], tuple(sorted(state))),
        lambda names, leaves: State(zip(names, leaves, strict=True)),
    )
    numbers = np.array([0.0, -0.0, 1e-42, np.inf, 3.0], np.float32)
    payload = np.array([0x7FC01234, 0xFFC00001], np.uint32).view(np.float32)
    kinds = ("bfloat16", "float16", "float8_e4m3fn", "int4", "uint8", "int32", "bool", "complex64")
    state = State(
        {kind: jnp.asarray(numbers[-1:].astype(kind)) for kind in kinds},
        denormal=jnp.asarray(numbers),
        nan=jnp.asarray(payload),
        empty=jnp.zeros((0, 4), jnp.bfloat16),
        scalar=jnp.float32(2.5),
        host=np.arange(3),
        key=jax.random.key(1),
        keys=jax.random.split(jax.random.key(2, impl="rbg"), 3),
    )
    checkpoints.save(state)
    restored = checkpoints.restore(state)
    assert bits(restored) == bits(state)
    assert isinstance(restored["host"], np.ndarray)
    assert restored["keys"].dtype == state["keys"].dtype
    assert jax.random.bits(restored["key"]) == jax.random.bits(state["key"])


def test_restore_onto_the_devices_of_like(checkpoints):
    mesh = Mesh(np.array(jax.devices()), ("data",))
    state = make_state(1, shape=(8, 3))
    checkpoints.save(state)
    sharded, replicated = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
    placed = jax.tree.map(lambda leaf: jax.device_put(leaf, sharded if leaf.shape == (8, 3) else replicated), state)
    restored = checkpoints.restore(placed)
    assert bits(restored) == bits(state)
    assert restored.params["dense"]["kernel"].sharding == sharded
    assert restored.key.sharding.is_equivalent_to(replicated, 0)
    again = train.Checkpoints(checkpoints.directory.parent / "sharded", config=CONFIG)
    again.save(placed)
    assert bits(again.restore(state)) == bits(state)


def test_orbax_alone_can_read_the_arrays(two):
    names = json.loads((two.folder(2) / "manifest.json").read_text())["leaves"]
    arguments = {name.replace("/", "."): ocp.RestoreArgs(restore_type=np.ndarray) for name in names}
    numbers = ocp.PyTreeCheckpointer().restore(two.folder(2) / "state", restore_args=arguments)
    np.testing.assert_array_equal(numbers["params.dense.kernel"], make_state(2).params["dense"]["kernel"])


def test_save_removes_the_oldest_and_overwrites_nothing(two):
    two.save(make_state(3))
    assert two.steps() == [2, 3]
    before = contents(two.directory)
    for step in (0, 2, 3):
        with pytest.raises(FileExistsError, match=f"after 3, .* got {step}"):
            two.save(make_state(step))
    assert contents(two.directory) == before


def test_one_process_at_a_time_saves_to_a_folder(two):
    descriptor = os.open(two.directory, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)  # as another process does
    with pytest.raises(BlockingIOError, match=r"one process that saves to .*, got another"):
        two.save(make_state(3))
    assert two.steps() == [1, 2]
    os.close(descriptor)
    two.save(make_state(3))
    assert two.steps() == [2, 3]


def test_a_partial_checkpoint_is_ignored_and_then_removed(two):
    shutil.copytree(two.folder(2), two.directory / "00000003.partial")
    (two.directory / "00000003.partial" / "manifest.json").unlink()
    assert two.steps() == [1, 2]
    assert int(two.restore(make_state()).step) == 2
    two.save(make_state(4))
    assert sorted(path.name for path in two.directory.iterdir()) == ["00000002", "00000004"]


def test_a_full_disk_leaves_earlier_checkpoints_intact(two, monkeypatch):
    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = contents(two.directory)
    monkeypatch.setattr(snapshot, "flush", full)
    with pytest.raises(OSError, match="No space left") as error:
        two.save(make_state(3))
    notes = [f"no checkpoint of step 3 was written to {two.directory}; the earlier ones are intact"]
    assert error.value.__notes__ == notes
    assert contents(two.directory) == before


def test_a_changed_bit_in_any_file_raises_with_its_name(two):
    files = [path for path in sorted(two.folder(2).rglob("*")) if path.is_file()]
    assert len(files) > 15
    generator = np.random.default_rng(0)
    for path in files:
        original = path.read_bytes()
        damaged = bytearray(original)
        damaged[generator.integers(len(damaged))] ^= 1 << generator.integers(8)
        path.write_bytes(damaged)
        with pytest.raises(train.DamagedError) as error:
            two.restore(make_state())
        assert path.name in str(error.value)
        assert "\n" not in str(error.value)
        if path.parent.name.startswith("params."):
            assert f"(leaf {path.parent.name.replace('.', '/')})" in str(error.value)
        path.write_bytes(original)
    assert int(two.restore(make_state()).step) == 2


@pytest.mark.parametrize("how", ["cut", "missing", "extra", "link", "folder", "renamed", "no manifest"])
def test_a_checkpoint_with_other_files_raises(two, how):
    folder = two.folder(2)
    path = folder / "state" / "params.dense.kernel" / "0.0"
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif how == "missing":
        path.unlink()
    elif how == "extra":
        (folder / "state" / "more.pkl").write_bytes(pickle.dumps({"more": 1}))
    elif how == "link":
        path.rename(two.directory / "elsewhere")
        path.symlink_to(two.directory / "elsewhere")
    elif how == "folder":
        folder.rename(two.directory / "elsewhere")
        folder.symlink_to(two.directory / "elsewhere")
    elif how == "renamed":
        folder.rename(two.folder(9))
    else:
        (folder / "manifest.json").unlink()
    messages = {
        "cut": r"0\.0 \(leaf params/dense/kernel\) is damaged",
        "missing": r"0\.0 \(leaf params/dense/kernel\) is missing",
        "extra": r"more\.pkl is not in the manifest",
        "link": r"0\.0 \(leaf params/dense/kernel\) is not a regular file",
        "folder": "00000002 is a symbolic link",
        "renamed": "got one of step 2",
        "no manifest": r"manifest\.json is missing",
    }
    with pytest.raises(train.DamagedError, match=messages[how]):
        two.restore(make_state())


def test_fall_back_to_the_newest_intact_checkpoint(two):
    path = two.folder(2) / "state" / "params.dense.kernel" / "0.0"
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.warns(RuntimeWarning, match=r"params/dense/kernel.* restored step 1"):
        state = two.restore(make_state(), fallback=True)
    assert bits(state) == bits(make_state(1))
    assert two.steps() == [1]
    assert (two.directory / "00000002.damaged").is_dir()
    two.save(make_state(2))
    assert two.steps() == [1, 2]
    for step in (1, 2):
        (two.folder(step) / "manifest.sha256").write_text("")
    with pytest.raises(train.DamagedError, match="no intact checkpoint in"):
        two.restore(make_state(), fallback=True)
    assert two.steps() == [1, 2]


def test_another_model_raises_with_the_leaves_that_differ(two):
    before = contents(two.directory)
    with pytest.raises(ValueError, match=r"params/dense/kernel: expected float32\[3, 2\], got float32\[2, 3\]"):
        two.restore(make_state(shape=(3, 2)))
    with pytest.raises(ValueError, match=r"params/dense/kernel: expected bfloat16\[2, 3\], got float32\[2, 3\]"):
        two.restore(make_state(dtype=jnp.bfloat16), fallback=True)
    other = make_state().replace(collections={}, key=jax.random.key(7, impl="rbg"))
    with pytest.raises(ValueError) as error:
        two.restore(other)
    assert "collections/batch_stats/n: expected nothing, got float32[]" in str(error.value)
    assert "key: expected key<rbg>[], got key<fry>[]" in str(error.value)
    assert contents(two.directory) == before


def test_another_configuration_raises_at_once(two):
    with pytest.raises(ValueError, match=r"learning_rate 0\.1, got 0\.2"):
        train.Checkpoints(two.directory, config={**CONFIG, "learning_rate": 0.2})
    with pytest.raises(ValueError, match="JSON"):
        train.Checkpoints(two.directory, config={"x": float("nan")})
    with pytest.raises(ValueError, match="got 0"):
        train.Checkpoints(two.directory, config=CONFIG, keep=0)


def test_a_missing_checkpoint_raises(two, checkpoints):
    with pytest.raises(FileNotFoundError, match="got none"):
        checkpoints.restore(make_state())
    with pytest.raises(FileNotFoundError, match=r"\[1, 2\] .* got 7"):
        two.restore(make_state(), step=7)
    assert int(two.restore(make_state(), step=1).step) == 1
    assert two.position(1) == {"step": 1}
    assert (checkpoints.steps(), checkpoints.latest(), two.latest()) == ([], None, 2)


def test_prepare_raises_before_training_if_saving_is_impossible(two, checkpoints, monkeypatch):
    checkpoints.prepare(make_state())
    two.prepare(make_state(2))
    with pytest.raises(FileExistsError, match=r"after 2, .* got 2"):
        two.prepare(make_state(1))
    with pytest.raises(TypeError, match="got params/w of type str"):
        checkpoints.prepare(make_state().replace(params={"w": "text"}))
    usage = shutil.disk_usage(two.directory)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(OSError, match=r"3 checkpoints .* got 1,000"):
        checkpoints.prepare(make_state())
    with pytest.raises(OSError, match="got 1,000"):
        two.save(make_state(3))
    assert two.steps() == [1, 2]


def test_prepare_raises_for_a_read_only_folder():
    root = Path(tempfile.mkdtemp())
    root.chmod(0o555)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)
        with pytest.raises(PermissionError, match=r"Permission denied.*checkpoints"):
            train.Checkpoints(root / "checkpoints", config=CONFIG).prepare(make_state())
    finally:
        os.seteuid(user)
        root.rmdir()


@pytest.mark.parametrize("name", ["/etc/passwd", "../../outside", "state/../../outside", "\\\\host\\file"])
def test_a_manifest_with_files_outside_of_its_folder_raises(two, name):
    reseal(two.folder(2), lambda manifest: manifest["files"].update({name: "0" * 64}))
    with pytest.raises(train.DamagedError, match="a file outside of its folder"):
        two.restore(make_state())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("shape", [10**6, 10**6]),
        ("chunks", [10**6, 10**6]),
        ("chunks", [0, 3]),
        ("dtype", "|V2000000000"),
        ("dtype", "<f8"),
        ("filters", [{"id": "delta"}]),
        ("comment", "x" * 10**5),
    ],
)
def test_an_absurd_header_raises_before_memory_is_allocated(two, field, value):
    path = two.folder(2) / "state" / "params.dense.kernel" / ".zarray"
    header = json.loads(path.read_text())
    path.write_text(json.dumps({**header, field: value}))
    name = path.relative_to(two.folder(2)).as_posix()
    reseal(two.folder(2), lambda manifest: manifest["files"].update({name: snapshot.file_digest(path)}))
    with pytest.raises(train.DamagedError, match=r"leaf params/dense/kernel.* an array of shape \[2, 3\]"):
        two.restore(make_state())


@pytest.mark.parametrize(
    "text",
    [
        pickle.dumps(print),
        b"[" * 100_000,
        b"null",
        b'{"format": 1}',
        b'{"format": 1, "step": 2, "position": null, "config": {}, "files": {}, "leaves": {"w": {"shape": [1]}}}',
    ],
)
def test_an_invalid_manifest_raises_and_no_pickle_is_loaded(two, text):
    (two.folder(2) / "manifest.json").write_bytes(text)
    (two.folder(2) / "manifest.sha256").write_text(f"{hashlib.sha256(text).hexdigest()}  manifest.json\n")
    with pytest.raises(train.DamagedError, match="not a manifest of format 1"):
        two.restore(make_state())


def test_numbers_changed_by_orbax_raise(two):
    """Leaf digests detect more than disk errors: here the files are those of the manifest."""
    other = train.Checkpoints(two.directory.parent / "other", config=CONFIG)
    other.save(make_state(1).replace(params=make_state(5).params))
    source = other.folder(1) / "state" / "params.dense.kernel" / "0.0"
    target = two.folder(2) / "state" / "params.dense.kernel" / "0.0"
    target.write_bytes(source.read_bytes())
    name = target.relative_to(two.folder(2)).as_posix()
    reseal(two.folder(2), lambda manifest: manifest["files"].update({name: snapshot.file_digest(target)}))
    with pytest.raises(train.DamagedError, match="damaged at leaf params/dense/kernel"):
        two.restore(make_state())


def report(step, count=2):
    return train.Report(step, step / 4, make_state(step), {"loss": np.zeros(count)}, None, 0.0, 0.0, 20, count)


def test_save_every_saves_at_the_ends_of_epochs_and_of_the_run(checkpoints, monkeypatch):
    saved = []
    monkeypatch.setattr(checkpoints, "save", lambda state, position: saved.append((int(state.step), position)))
    save = train.SaveEvery(checkpoints, position={"step": 0, "seed": 3})
    for step in range(2, 15, 2):
        save(report(step))
    save.finish(report(14))
    save.finish(report(14))
    assert [step for step, _ in saved] == [4, 8, 12, 14]
    assert saved[-1][1] == {"step": 14, "seed": 3}
    saved.clear()
    often = train.SaveEvery(checkpoints, epochs=0.3)
    for step in range(1, 9):
        often(report(step, count=1))
    assert [step for step, _ in saved] == [2, 3, 4, 5, 6, 8]
    with pytest.raises(ValueError, match="got 0"):
        train.SaveEvery(checkpoints, epochs=0)


def test_a_nonfinite_state_is_never_saved(checkpoints):
    bad = make_state(4).replace(collections={"batch_stats": {"n": jnp.array(np.nan)}})
    with pytest.raises(train.NonfiniteError, match="leaf collections/batch_stats/n"):
        train.SaveEvery(checkpoints).finish(report(4)._replace(state=bad))
    assert checkpoints.steps() == []
