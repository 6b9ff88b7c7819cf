"""Transfer learning in four cases with four strategies, compared with the textbook's advice.

    python -m experiments run transfer_learning

A small convolutional network is pretrained on 64 invented characters (``--source digits``: the digits 0 to 4). The
target is similar, the digits 5 to 9, or different, five directions of noisy waves, with few examples, 25, or many, 500.
A strategy trains a new head alone, freezes the two lower convolutions, fine-tunes all layers with rates that fall by
2.6 per layer downwards, or trains from scratch, each at its best of four rates by the accuracy on 150 other examples in
3 runs; 12 other runs are judged on 240 examples. ``ADVICE`` has eight comparisons, each reproduced if the whole 95 %
interval of the difference in accuracy is above 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from rich.table import Table

from experiments.harness import configuration
from experiments.harness.claims import interval
from experiments.harness.errors import preparing
from experiments.harness.figures import COLOURS
from experiments.harness.plots import image_rows, plot_groups
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from jaxdl import data, losses, metrics, optim, tree
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.pooling import max_pool
from jaxdl.optim.freezing import discriminative_factors, scale_by_path
from jaxdl.optim.schedules import cosine_decay
from jaxdl.typing import Array, Key, PyTree

LAYERS = ("conv1", "conv2", "conv3", "dense", "output")
GROUPS = tuple(f"^{name}/" for name in LAYERS)
SOURCE_RATE = 3e-3
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
STRATEGIES = ("new head", "freeze part", "fine-tune", "from scratch")
FACTORS = {
    "new head": (0.0, 0.0, 0.0, 0.0, 1.0),
    "freeze part": (0.0, 0.0, 1.0, 1.0, 1.0),
    "fine-tune": tuple(discriminative_factors(GROUPS).values()),
    "from scratch": (1.0,) * 5,
}
ADVICE = {
    ("similar", "few"): [("new head", "from scratch"), ("new head", "fine-tune")],
    ("similar", "many"): [("fine-tune", "from scratch"), ("fine-tune", "new head")],
    ("different", "few"): [("freeze part", "from scratch"), ("freeze part", "new head")],
    ("different", "many"): [("from scratch", "new head"), ("from scratch", "fine-tune")],
}
"""The comparisons of the textbook: the first strategy of each pair should be the better one."""
POOL = 500


@dataclass(frozen=True)
class Config(configuration.Config):
    """Transfer to the digits 5 to 9, and to gratings."""

    SMOKE = {
        "seeds": 2,
        "search_seeds": 1,
        "rates": RATES[:2],
        "steps": 2,
        "source_steps": 2,
        "glyphs": 1,
        "many": 25,
        "validated": 5,
        "tested": 5,
        "batch_size": 2,
    }

    seeds: int = 12
    """Independent runs that are judged."""
    search_seeds: int = 3
    """Other runs, which choose the learning rate of each strategy."""
    few: int = 25
    """Examples of the small target, of all five classes."""
    many: int = POOL
    """Examples of the large target."""
    validated: int = 150
    """Examples of the target that choose the rate."""
    tested: int = 240
    """Examples of the target of the test."""
    rates: tuple[float, ...] = RATES
    """Learning rates after the transfer."""
    glyphs: int = 60
    """Examples of each invented character."""
    source: Literal["glyphs", "digits"] = "glyphs"
    """Task of the pretraining: 64 invented characters, or the digits 0 to 4."""
    source_steps: int = 1000
    """Updates before the transfer."""
    steps: int = 300
    """Updates after the transfer."""
    batch_size: int = 32
    """Examples in an update."""

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.at_least(
            self, seeds=2, search_seeds=1, few=5, glyphs=1, validated=1, tested=1, source_steps=1, steps=1, batch_size=1
        )
        configuration.require(self.few <= self.many <= POOL, "many", f"from --few to {POOL}", self.many)


class Network(linen.Module):
    """Three convolutions and two dense layers."""

    classes: int = 5

    @linen.compact
    def __call__(self, x: Array) -> Array:
        """Return the logits ``[B, classes]`` of images ``[B, 8, 8, 1]``."""
        x = linen.relu(Conv(8, (3, 3), padding=1, name="conv1")(x))
        x = max_pool(linen.relu(Conv(16, (3, 3), padding=1, name="conv2")(x)), 2)
        x = linen.relu(Conv(16, (3, 3), padding=1, name="conv3")(x))
        x = linen.relu(linen.Dense(32, name="dense")(x.reshape(x.shape[0], -1)))
        return linen.Dense(self.classes, name="output")(x)


class Examples(NamedTuple):
    """Images ``[N, 8, 8, 1]`` and labels ``[N]`` of the training pool, the validation and the test."""

    pool: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


class Seed(NamedTuple):
    """The trained parameters, the initialization, the order of the target's examples and the key of a run."""

    trained: PyTree
    fresh: PyTree
    order: Array
    key: Key


def run(config: Config, run: Run) -> dict[str, float | str]:
    """Train on the source, transfer in four cases with four strategies, compare with the advice."""
    search = config.search_seeds
    generator = np.random.default_rng(config.seed)
    with preparing():
        source, similar = digits(generator, config)
    source = glyphs(generator, config.glyphs) if config.source == "glyphs" else source
    targets = {"similar": similar, "different": gratings(generator, config)}
    keys, *new_keys = jax.random.split(jax.random.key(config.seed), (3, search + config.seeds))
    classes = int(source[1].max()) + 1
    first, fresh = initialize(keys, classes), initialize(new_keys[0])
    learn = make_learn(config.source_steps, config.batch_size, classes)
    trained = pretrain(learn, source, first, keys, generator)
    known = float(np.mean(jax.jit(jax.vmap(partial(accuracy, part=source)))(trained)))
    learn = make_learn(config.steps, config.batch_size)
    transfer, accuracies, rates = make_transfer(learn), {}, {}
    choices = np.array(config.rates, np.float32)
    for similarity, examples in targets.items():
        order = np.stack([balanced_order(generator, examples.pool[1]) for _ in keys])
        every = Seed(trained, fresh, order, new_keys[1])
        tried, judged = tree.take(every, slice(search)), tree.take(every, slice(search, None))
        for size, count in (("few", config.few), ("many", config.many)):
            grid = np.repeat(choices[:, None], len(STRATEGIES), axis=1)
            best = choices[transfer(tried, grid, examples, count)["validation"].mean(-1).argmax(0)]
            found = transfer(judged, best[None], examples, count)["test"][0]
            accuracies[similarity, size] = dict(zip(STRATEGIES, found, strict=True))
            rates[similarity, size] = dict(zip(STRATEGIES, best, strict=True))
    verdicts = judge(accuracies)
    run.console.print(table(accuracies, rates), advice_table(verdicts))
    run.figure("cases", draw_cases(accuracies))
    run.figure("examples", draw_examples(source, targets))
    kept = sum(low > 0 for _, low, _ in verdicts.values())
    result = means(**{"_".join(case): found for case, found in accuracies.items()})
    return {"source": known, **result, "advice_kept": kept, "advice": len(verdicts)}


def digits(generator: np.random.Generator, config: Config) -> tuple[tuple[np.ndarray, np.ndarray], Examples]:
    """Return the digits 0 to 4, and the digits 5 to 9 as a target."""
    dataset = data.load("digits")
    image = np.concatenate([dataset.train["image"], dataset.test["image"]])
    label = np.concatenate([dataset.train["label"], dataset.test["label"]])
    lower = label < 5
    return (image[lower], label[lower]), split(generator, config, image[~lower], label[~lower] - 5)


def glyphs(generator: np.random.Generator, count: int, classes: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Return invented characters, polylines through five random points, with ``count`` perturbed copies each."""
    points = np.repeat(generator.uniform(0.5, 6.5, (classes, 5, 1, 2)), count, axis=0)
    points = (
        points + 0.3 * generator.standard_normal(points.shape) + 0.4 * generator.standard_normal((len(points), 1, 1, 2))
    )
    pixels = np.stack(np.mgrid[:8, :8], axis=-1).reshape(1, 1, 64, 2)
    start, along = points[:, :-1], points[:, 1:] - points[:, :-1]
    share = np.clip(np.sum((pixels - start) * along, -1, keepdims=True) / np.sum(along**2, -1, keepdims=True), 0, 1)
    distance = np.linalg.norm(pixels - start - share * along, axis=-1).min(axis=1)
    image = np.exp(-((distance / 0.7) ** 2)).reshape(-1, 8, 8, 1)
    return image.astype(np.float32), np.repeat(np.arange(classes, dtype=np.int32), count)


def gratings(generator: np.random.Generator, config: Config) -> Examples:
    """Return waves in five directions with random lengths and phases, in noise."""
    count = POOL + config.validated + config.tested
    label = np.arange(count, dtype=np.int32) % 5
    angle = np.pi * (label + generator.uniform(-0.2, 0.2, count)) / 5
    y, x = np.mgrid[:8, :8]
    along = np.cos(angle)[:, None, None] * x + np.sin(angle)[:, None, None] * y
    length, phase = generator.uniform(2.5, 5.0, (count, 1, 1)), generator.uniform(size=(count, 1, 1))
    wave = 0.5 + 0.25 * np.sin(2 * np.pi * (along / length + phase))
    image = np.clip(wave + 0.15 * generator.standard_normal(wave.shape), 0, 1)
    return split(generator, config, image[..., None].astype(np.float32), label)


def split(generator: np.random.Generator, config: Config, image: np.ndarray, label: np.ndarray) -> Examples:
    """Split examples at random."""
    order = generator.permutation(len(label))
    ends = np.cumsum((POOL, config.validated, config.tested))
    parts = np.split(order[: ends[-1]], ends[:-1])
    return Examples(*((image[part], label[part]) for part in parts))


def balanced_order(generator: np.random.Generator, label: np.ndarray) -> np.ndarray:
    """Return a random order in which the classes alternate, so that every prefix is balanced."""
    order = generator.permutation(len(label))
    turn = np.empty(len(label), int)
    for name in np.unique(label):
        mine = label[order] == name
        turn[mine] = np.arange(mine.sum())
    return order[np.argsort(turn, kind="stable")]


Learn = Callable[..., PyTree]


def make_learn(steps: int, batch_size: int, classes: int = 5) -> Learn:
    """Make the function that trains parameters on the first ``count`` examples of an order."""
    model = Network(classes)

    def learn(
        params: PyTree, factors: Array, rate: Array, examples: tuple[Array, Array], order: Array, count: int, key: Key
    ) -> PyTree:
        optimizer = optax.chain(
            optim.adam(cosine_decay(rate, steps)), scale_by_path(dict(zip(GROUPS, factors, strict=True)))
        )

        def loss(params: PyTree, index: Array) -> Array:
            image, label = (jnp.asarray(part)[index] for part in examples)
            return losses.cross_entropy(model.apply({"params": params}, image), label)

        def step(carry: tuple[PyTree, PyTree], index: Array) -> tuple[tuple[PyTree, PyTree], None]:
            params, state = carry
            updates, state = optimizer.update(jax.grad(loss)(params, index), state, params)
            return (optax.apply_updates(params, updates), state), None

        batches = jnp.asarray(order)[jax.random.randint(key, (steps, batch_size), 0, count)]
        (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), batches)
        return params

    return learn


def initialize(keys: Array, classes: int = 5) -> PyTree:
    """Initialize the parameters for every key, one after the other, which compiles faster than a map."""
    draw = jax.jit(lambda key: Network(classes).init(key, jnp.zeros((1, 8, 8, 1)))["params"])
    return tree.stack([draw(key) for key in keys])


def accuracy(params: PyTree, part: tuple[Array, Array]) -> Array:
    """Return the accuracy of a network on a part."""
    logits = Network(params["output"]["bias"].size).apply({"params": params}, part[0])
    return jnp.mean(metrics.correct(logits, part[1]))


def pretrain(
    learn: Learn, source: tuple[np.ndarray, np.ndarray], first: PyTree, keys: Array, generator: np.random.Generator
) -> PyTree:
    """Train a network for every seed on the source."""
    order = generator.permutation(len(source[1]))

    @jax.jit
    @partial(jax.vmap, in_axes=(0, 0, None, None))
    def train(first: PyTree, key: Key, source: tuple[Array, Array], order: Array) -> PyTree:
        return learn(first, jnp.ones(len(LAYERS)), SOURCE_RATE, source, order, len(order), key)

    return train(first, keys, source, order)


def make_transfer(learn: Learn) -> Callable[..., dict[str, np.ndarray]]:
    """Make the function that trains every strategy at rates ``[R, strategies]``.

    It returns the accuracies ``[R, strategies, seeds]``.
    """

    @jax.jit
    @partial(jax.vmap, in_axes=(0, 0, 0, None, None))
    def transferred(rate: Array, strategy: Array, seed: Seed, examples: Examples, count: Array) -> dict[str, Array]:
        trained, fresh, order, key = seed
        scratch = strategy == STRATEGIES.index("from scratch")
        start = {name: jax.tree.map(partial(jnp.where, scratch), fresh[name], trained[name]) for name in LAYERS[:-1]}
        start["output"] = fresh["output"]
        factors = jnp.array([*FACTORS.values()])[strategy]
        params = learn(start, factors, rate, examples.pool, order, count, key)

        return {"validation": accuracy(params, examples.validation), "test": accuracy(params, examples.test)}

    def transfer(seeds: Seed, rates: np.ndarray, examples: Examples, count: int) -> dict[str, np.ndarray]:
        shape = (*rates.shape, len(seeds.key))
        places = (rates[..., None], np.arange(shape[1])[None, :, None], np.arange(shape[2])[None, None])
        rate, strategy, seed = (np.broadcast_to(a, shape).ravel() for a in places)
        found = transferred(rate, strategy, tree.take(seeds, seed), examples, count)
        return {name: np.asarray(values).reshape(shape) for name, values in found.items()}

    return transfer


Case = tuple[str, str]
Accuracies = dict[Case, dict[str, np.ndarray]]


def judge(accuracies: Accuracies) -> dict[tuple[Case, str, str], tuple[float, float, float]]:
    """Return the mean gain in accuracy and its interval for every piece of advice, reproduced if above 0."""
    return {
        (case, better, worse): interval(accuracies[case][better] - accuracies[case][worse])
        for case, pairs in ADVICE.items()
        for better, worse in pairs
    }


def table(accuracies: Accuracies, rates: dict[Case, dict[str, float]]) -> Table:
    """Make a table of the accuracies of all cases and strategies, with the chosen rates."""
    result = Table(title="accuracy on the target, mean +- standard error (learning rate)")
    for column in ("target", "examples", *STRATEGIES):
        result.add_column(column)
    for case, found in accuracies.items():
        cells = [
            f"{values.mean():.1%} +- {values.std(ddof=1) / len(values) ** 0.5:.1%} ({rates[case][name]:g})"
            for name, values in found.items()
        ]
        result.add_row(*case, *cells)
    return result


def advice_table(verdicts: dict[tuple[Case, str, str], tuple[float, float, float]]) -> Table:
    """Make a table of the advice and the verdicts."""
    result = Table(title="advice")
    for column in ("target", "examples", "better", "than", "gain [95 % interval]", "verdict"):
        result.add_column(column)
    for ((similarity, size), better, worse), (mean, low, high) in verdicts.items():
        verdict = "reproduced" if low > 0 else "not reproduced"
        result.add_row(similarity, size, better, worse, f"{mean:+.1%} [{low:+.1%}, {high:+.1%}]", verdict)
    return result


def draw_cases(accuracies: Accuracies) -> Figure:
    """Draw the accuracy of every seed, and the means, case by case."""
    figure, axes = plt.subplots(2, 2, figsize=(8.5, 6))
    for axis, ((similarity, size), found) in zip(axes.flat, accuracies.items(), strict=True):
        advised = {better for better, _ in ADVICE[similarity, size]}
        groups = {f"{name}\n(advised)" if name in advised else name: values for name, values in found.items()}
        plot_groups(axis, groups, COLOURS[: len(groups)], within=(0, 1))
        axis.set(title=f"{similarity} target, {size} examples", ylabel="accuracy on the target")
    return figure


def draw_examples(source: tuple[np.ndarray, np.ndarray], targets: dict[str, Examples]) -> Figure:
    """Draw three images of each class of the source and of the targets."""
    rows = {"source": source} | {name: examples.pool for name, examples in targets.items()}
    return image_rows(
        {
            name: np.concatenate([image[label == number][:3, ..., 0] for number in range(5)])
            for name, (image, label) in rows.items()
        },
        size=0.8,
    )
