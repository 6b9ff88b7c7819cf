"""A batch in parts, microbatches and devices, gives the step of the whole batch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen
from jax.sharding import AxisType

from jaxdl import data, losses, metrics, models, optim, tasks, train
from jaxdl.train import parallel
from jaxdl.train.parallel import explicit

RANDOM = np.random.default_rng(0)
CHANNELS = ("residual_channels", "gate_channels", "skip_channels")
LENGTH = np.array([6, 1, 2, 3, 6, 1, 1, 4])
TOKENS = {"token": RANDOM.integers(0, 5, (8, 6)), "label": RANDOM.integers(0, 3, (8, 6)), "length": LENGTH}
WEIGHTS = RANDOM.uniform(size=(8, 6)).astype(np.float32)
TEXT = {"token": TOKENS["token"], "target": TOKENS["token"][:, ::-1]}
PAIRS = {"source": TOKENS["token"], "target": TOKENS["label"], "source_length": LENGTH, "target_length": LENGTH[::-1]}


class Linear(linen.Module):
    """Logits of every token by itself, or of their mean."""

    mean: bool = False

    @linen.compact
    def __call__(self, x, lengths=None, carry=None, train=False, return_intermediates=False, **_):
        logits = linen.Dense(5, name="output")(jax.nn.one_hot(x, 5))
        logits = jnp.mean(logits, axis=1) if self.mean else logits
        return (logits, {}) if return_intermediates else logits


class Reader(Linear):
    """Logits of a source, under the names of the translation task."""

    def __call__(self, x, target_in=None, source_lengths=None, train=False):
        return super().__call__(x)


BATCHES = {
    "tagging by lengths": (tasks.tagging(Linear()), TOKENS),
    "tagging by weights": (tasks.tagging(Linear()), {**TOKENS, "mask": WEIGHTS}),
    "tagging where a part is masked": (tasks.tagging(Linear()), {**TOKENS, "mask": np.float32(np.arange(8) % 2)}),
    "labels of sequences": (
        tasks.sequence_classification(Linear(mean=True)),
        {**TOKENS, "label": TOKENS["label"][:, 0]},
    ),
    "language with weights": (tasks.language_model(Linear()), {**TEXT, "mask": WEIGHTS}),
    "translation by lengths": (tasks.translation(Reader(), bos_id=0), PAIRS),
}


def assert_close(ours, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), ours, expected)


@functools.cache
def make_mesh():
    return jax.make_mesh((4,), ("data",), axis_types=(AxisType.Explicit,), devices=jax.devices()[:4])


def steps(task, optimizer):
    """Return the step of the whole batch, and those of its parts."""
    make = functools.partial(train.make_step, task.loss, optimizer)
    yield make()
    yield make(accumulate=2)
    yield explicit.with_shard_map(make(accumulate=2, axis_name="data"), make_mesh())


@pytest.mark.parametrize(("task", "batch"), BATCHES.values(), ids=BATCHES)
def test_parts_equal_the_whole(task, batch):
    optimizer = optim.sgd(0.5)
    state = train.TrainState.create(task.init(jax.random.key(0), batch), optimizer, jax.random.key(1))
    whole, *parts = (jax.jit(step)(state, batch) for step in steps(task, optimizer))
    moved = jax.tree.map(lambda a, b: float(np.max(np.abs(a - b))), whole[0].params, state.params)
    assert min(jax.tree.leaves(moved)) > 1e-3
    for part in parts:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), part[1], whole[1])
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), part[0].params, whole[0].params
        )


def test_pmap_of_a_ragged_batch_equals_the_whole():
    task, batch = BATCHES["tagging by lengths"]
    optimizer = optim.sgd(0.5)
    state = train.TrainState.create(task.init(jax.random.key(0), batch), optimizer, jax.random.key(1))
    step = explicit.with_pmap(train.make_step(task.loss, optimizer, axis_name="data"), make_mesh())
    ours, expected = step(state, batch)[0], jax.jit(train.make_step(task.loss, optimizer))(state, batch)[0]
    assert_close(ours.params, expected.params)


def weighted_loss(variables, batch, key):
    value = jnp.sum(variables["params"]["w"] * batch["x"] * batch["scale"]) / jnp.sum(batch["length"])
    return value, ({}, {})


def make_state():
    return train.TrainState.create({"params": {"w": jnp.ones(())}}, optim.sgd(1.0), jax.random.key(0))


def test_scalars_go_to_every_part_and_a_given_count_weights_the_parts():
    batch = {"x": np.arange(8.0, dtype=np.float32), "length": LENGTH.astype(np.float32), "scale": np.float32(0.5)}
    count = lambda batch: jnp.sum(batch["length"])  # noqa: E731
    make = functools.partial(train.make_step, weighted_loss, optim.sgd(1.0), count=count)
    expected = 1 - 0.5 * 28 / LENGTH.sum()
    mapped = make(axis_name="data")
    for step in (make(accumulate=4), explicit.with_shard_map(mapped, make_mesh())):
        assert float(jax.jit(step)(make_state(), batch)[0].params["w"]) == pytest.approx(expected, rel=1e-6)
    assert float(explicit.with_pmap(mapped, make_mesh())(make_state(), batch)[0].params["w"]) == pytest.approx(expected)
    placed = parallel.place_batch(batch, make_mesh())
    assert placed["scale"].sharding.is_fully_replicated


def test_a_device_without_examples_adds_nothing_to_the_gradient():
    length = np.float32([3, 1, 0, 0, 2, 2, 4, 1])  # none on the second device: its loss is 0 / 0
    batch = {"x": np.arange(8, dtype=np.float32) * (length > 0), "length": length, "scale": np.float32(0.5)}
    count = lambda batch: jnp.sum(batch["length"])  # noqa: E731
    step = train.make_step(weighted_loss, optim.sgd(1.0), count=count, axis_name="data")
    expected = 1 - 0.5 * batch["x"].sum() / length.sum()
    for form in (explicit.with_shard_map, explicit.with_pmap):
        state, metrics = form(step, make_mesh())(make_state(), batch)
        assert float(state.params["w"]) == pytest.approx(expected, rel=1e-6)
        assert float(metrics["loss"]) == pytest.approx(1 - expected, rel=1e-6)


def test_what_cannot_be_cut_by_rows_is_refused():
    batch = {"x": np.zeros(8, np.float32), "matrix": np.zeros((4, 4), np.float32)}

    def loss(variables, batch, key):
        return jnp.sum(variables["params"]["w"] * batch["x"]), ({}, {})

    make = functools.partial(train.make_step, loss, optim.sgd(1.0))
    loader = type("Own", (), {"steps_per_epoch": 1, "batch": lambda self, step: batch})()
    attempts = [
        lambda: make(accumulate=2)(make_state(), batch),
        lambda: explicit.with_shard_map(make(axis_name="data"), make_mesh())(make_state(), batch),
        lambda: explicit.with_pmap(make(axis_name="data"), make_mesh())(make_state(), batch),
        lambda: train.fit(make(), make_state(), loader, epochs=1, mesh=make_mesh()),
        lambda: parallel.PaddedLoader(loader, 3).batch(0),
    ]
    for attempt in attempts:
        with pytest.raises(ValueError, match=r"got \{'matrix': 4, 'x': 8\}"):
            attempt()
    lengths = {"x": np.zeros(8, np.float32), "length": LENGTH}
    with pytest.raises(ValueError, match=r"got \['length'\]"):
        make(accumulate=2)(make_state(), lengths)
    make()(make_state(), lengths)


def test_a_bucket_of_sequences_is_accumulated_exactly():
    tokens = [np.asarray(RANDOM.integers(0, 5, length)) for length in LENGTH]
    labels = [np.asarray(RANDOM.integers(0, 3, length)) for length in LENGTH]
    loader = data.BucketLoader({"token": tokens, "label": labels}, 8, boundaries=(6,), seed=0)
    batch, task, optimizer = loader.batch(0), tasks.tagging(Linear()), optim.sgd(0.5)
    state = train.TrainState.create(task.init(jax.random.key(0), batch), optimizer, jax.random.key(1))
    steps = (jax.jit(train.make_step(task.loss, optimizer, accumulate=k)) for k in (1, 2))
    whole, halves = (step(state, batch)[0] for step in steps)
    assert_close(whole.params, halves.params)


class Random(linen.Module):
    """A model with batch statistics and dropout."""

    @linen.compact
    def __call__(self, x, train=False):
        x = linen.BatchNorm(use_running_average=not train, momentum=0.9)(linen.Dense(8)(x))
        return linen.Dense(3)(linen.Dropout(0.5, deterministic=not train)(x))


def test_accumulation_on_a_mesh_is_that_of_one_device_also_with_batch_norm_and_dropout():
    x = RANDOM.normal(size=(32, 4)).astype(np.float32)
    loader = data.Loader({"image": x, "label": np.argmax(x[:, :3], axis=1)}, 16, seed=0)
    task, optimizer = tasks.classification(Random()), optim.sgd(0.1)

    def run(mesh):
        state = train.TrainState.create(task.init(jax.random.key(0), loader.batch(0)), optimizer, jax.random.key(1))
        step = train.make_step(task.loss, optimizer, accumulate=2, mesh=mesh)
        return jax.device_get(train.fit(step, state, loader, epochs=2, mesh=mesh)[0].replace(key=0))

    assert_close(run(None), run(make_mesh()))


def test_a_batch_without_examples_gives_zeros_not_nan():
    task, batch = BATCHES["tagging by weights"]
    optimizer = optim.sgd(0.5)
    state = train.TrainState.create(task.init(jax.random.key(0), batch), optimizer, jax.random.key(1))
    after, found = jax.jit(train.make_step(task.loss, optimizer))(state, {**batch, "mask": np.zeros(8, np.float32)})
    assert {name: float(value) for name, value in found.items() if name in ("loss", "accuracy", "gradient_norm")} == {
        "loss": 0.0,
        "accuracy": 0.0,
        "gradient_norm": 0.0,
    }
    jax.tree.map(np.testing.assert_array_equal, after.params, state.params)


def test_perplexity_is_the_exponential_of_the_mean_loss():
    task, batch = BATCHES["language with weights"]
    loader, optimizer = data.Loader(batch, 4, seed=0), optim.sgd(1.0)
    for accumulate in (1, 2):
        state = train.TrainState.create(task.init(jax.random.key(0), batch), optimizer, jax.random.key(1))
        step = train.make_step(task.loss, optimizer, accumulate=accumulate)
        row, *_ = train.fit(step, state, loader, epochs=1)[1]
        assert row["train/perplexity"] == pytest.approx(np.exp(row["train/loss"]), rel=1e-5)


def test_metrics_are_merged_by_their_own_method():
    class Largest(metrics.Mean):
        """A maximum."""

        def merge(self, other):
            return Largest(jnp.maximum(self.total, other.total), self.count)

        @property
        def value(self):
            return self.total

    def measure(variables, batch):
        return {"largest": Largest(jnp.max(jnp.where(batch["mask"] > 0, batch["x"], -1)), jnp.ones(()))}

    assert train.make_evaluation(measure, {"x": np.arange(10.0)}, batch_size=4)({}) == {"largest": 9.0}


def test_a_wavenet_learns_as_a_language_model():
    model = models.create("wavenet", num_classes=5, dilations=(1, 2), **dict.fromkeys(CHANNELS, 4))
    task, optimizer, token = tasks.language_model(model), optim.adam(0.05), TEXT["token"]

    @jax.jit
    def see(variables):
        carry, _ = model.apply(variables, token[:, :2], method="prefill")
        whole, rest = model.apply(variables, token), model.apply(variables, token[:, 2:], carry=carry)
        return losses.cross_entropy(whole, TEXT["target"]), whole[:, 2:], rest

    state = train.TrainState.create(jax.jit(task.init)(jax.random.key(0), TEXT), optimizer, jax.random.key(1))
    step, evaluation = train.make_step(task.loss, optimizer), train.make_evaluation(task.measure, TEXT)
    before, expected, rest = see(state.variables)
    np.testing.assert_allclose(rest, expected, rtol=1e-5, atol=1e-5)
    state, rows = train.fit(step, state, data.Loader(TEXT, 8), epochs=20, evaluate=evaluation)
    assert rows[-1]["evaluation/loss"] == pytest.approx(float(see(state.variables)[0]), rel=1e-5)
    assert rows[-1]["evaluation/loss"] < 0.9 * float(before)
