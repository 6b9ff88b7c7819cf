"""Smaller networks: pruned by magnitude, quantized to few bits, distilled from a teacher.

    python -m experiments run small_devices

Networks 64-128-128-10 learn digits. Of each, the smallest weights are removed, among all or in every layer, and the
others are fine-tuned. Kernels of 8 to 2 bits and inputs of 8, calibrated on training digits, give products of integers.
A student 64-8-10 learns from a tenth of the labels alone, or from the same digits with a network of the first kind,
its teacher, as a further input of the loss. The first network in 8 bits is exported, `network.stablehlo`, and read
again. Sizes are bytes of float32; those of pruned networks count the weights that are left and one bit for each.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import numpy as np

from experiments.deployment import drawings
from experiments.harness.claims import interval
from experiments.harness.configuration import require
from experiments.harness.members import Repeated, apply_members, orders, train_on_samples
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from experiments.harness.seeds import initialize
from jaxdl import compress, data, models, optim, tasks, train, tree
from jaxdl.optim.schedules import cosine_decay
from jaxdl.typing import Array, Batch, PyTree

TEACHER = models.MLP(hidden_sizes=(128, 128))
STUDENT = models.MLP(hidden_sizes=(8,))
SCOPES = {"global": compress.global_masks, "layer": compress.layer_masks}
BATCH = 64
SUBJECTS = ("pruning", "quantization", "distillation")


@dataclass(frozen=True)
class Config(Repeated):
    """Pruning, quantization and distillation of small networks."""

    SMOKE = {"seeds": 2, "epochs": 1, "tuning_epochs": 1, "rates": (0.9,), "bits": (8,), "subjects": SUBJECTS[:2]}
    LEAST = {"bits": 2}
    POSITIVE = ("temperature",)

    subjects: tuple[Literal["pruning", "quantization", "distillation"], ...] = SUBJECTS
    """What to measure."""
    seeds: int = 8
    epochs: int = 30
    tuning_epochs: int = 10
    """Passes of the fine-tuning after pruning."""
    student_epochs: int = 300
    """Passes of the students over their digits."""
    rates: tuple[float, ...] = (0.5, 0.8, 0.9, 0.95, 0.98)
    """Shares of the weights to remove."""
    bits: tuple[int, ...] = (8, 6, 4, 3, 2)
    """Bits of the kernels."""
    student_labels: int = 144
    """Digits of which the students have the labels."""
    temperature: float = 4.0
    """Of the soft targets."""
    soft_weight: float = 0.9
    """Weight of the soft targets in the loss of the distilled students."""
    learning_rate: float = 2e-3
    """Largest rate of Adam, with a cosine decay."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(max(self.bits) <= 8, "bits", "at most 8", self.bits)
        require(max(self.rates) <= 1, "rates", "at most 1", self.rates)
        require(self.soft_weight <= 1, "soft-weight", "at most 1", self.soft_weight)


def run(config: Config, run: Run) -> dict[str, float]:
    """Train, prune, quantize, distil, export."""
    dataset, random = data.digits(), np.random.default_rng(config.seed)
    teachers = initialize(random, TEACHER, dataset.train["image"][:1], config.seeds)
    fit = partial(learn, config, dataset.train)
    teachers = fit(tasks.classification(TEACHER), teachers, config.epochs)
    accuracy = partial(measure, TEACHER, dataset.test)
    found, sizes = {"teacher": accuracy(teachers)}, {"teacher": 4 * tree.size(tree.take(teachers, 0))}
    pruned = prune(config, teachers, fit, accuracy) if "pruning" in config.subjects else {}
    quantized = quantize(config, teachers, dataset, run) if "quantization" in config.subjects else {}
    students = distil(config, teachers, dataset, random) if "distillation" in config.subjects else {}
    result: dict[str, float] = {}
    if students:
        sizes["student"] = 4 * tree.size(student_form())
        gain, low, high = interval(students["distilled"] - students["alone"], (-1, 1))
        run.console.print(f"distillation gains {gain:.3f} [{low:.3f}, {high:.3f}] of the test digits")
        result = {"distillation_gain": gain, "distillation_gain_low": low}
    sizes |= {f"{bits}_bits": each.size for bits, each in quantized.items()}
    sizes |= {("pruned", rate): pruned_size(teachers, rate) for _, rate in pruned}
    run.figure("small", drawings.draw_small(found["teacher"], pruned, quantized, students))
    found |= {f"{bits}_bits": each.accuracy for bits, each in quantized.items()} | students
    rows = {(scope, rate, kind): values for (scope, rate), pair in pruned.items() for kind, values in pair.items()}
    agreement = {f"{bits}_bits": each.agreement for bits, each in quantized.items()}
    return means(accuracy=found, pruned=rows, bytes=sizes, simulation_equal=agreement) | result


def student_form() -> PyTree:
    """Return the form of a student's variables."""
    return jax.eval_shape(STUDENT.init, jax.random.key(0), np.zeros((1, 8, 8, 1), np.float32))


def learn(
    config: Config,
    arrays: Batch,
    task: tasks.Task,
    variables: PyTree,
    epochs: int,
    *,
    keep_zeros: bool = False,
) -> PyTree:
    """Train every network ``[runs, ...]`` in an order of its own; return the variables."""
    size = len(arrays["label"])
    batch = min(BATCH, size)
    optimizer = optim.adam(cosine_decay(config.learning_rate, epochs * (size // batch)))
    optimizer = compress.keep_zeros(optimizer) if keep_zeros else optimizer
    create = jax.jit(jax.vmap(lambda v: train.TrainState.create(v, optimizer, jax.random.key(config.seed))))
    states = create(variables)
    samples = orders(size, len(jax.tree.leaves(variables)[0]), seed=config.seed)
    step = train.make_step(task.loss, optimizer)
    states, _ = train_on_samples(step, states, arrays, samples, epochs=epochs, batch_size=batch)
    return jax.device_get(states.variables)


def measure(model: Any, arrays: Batch, variables: PyTree) -> np.ndarray:
    """Measure the accuracy of every network, ``[runs]``."""
    logits = np.asarray(apply_members(model, variables["params"], arrays["image"]))
    return np.mean(logits.argmax(-1) == arrays["label"], axis=-1)


def prune(
    config: Config, teachers: PyTree, fit: Callable[..., PyTree], accuracy: Callable[[PyTree], np.ndarray]
) -> dict[tuple[str, float], dict[str, np.ndarray]]:
    """Prune all networks by all scopes and rates, fine-tune them together, and measure before and after, ``[runs]``."""
    pairs = [(scope, rate) for scope in SCOPES for rate in config.rates]

    def cut(params: PyTree) -> list[PyTree]:
        return [compress.apply_masks(params, SCOPES[scope](params, rate)) for scope, rate in pairs]

    params = jax.jit(jax.vmap(cut))(teachers["params"])
    joined = {"params": jax.tree.map(lambda *leaves: np.concatenate(leaves), *params)}
    tuned = fit(tasks.classification(TEACHER), joined, config.tuning_epochs, keep_zeros=True)
    found = {"pruned": accuracy(joined), "tuned": accuracy(tuned)}
    parts = {kind: values.reshape(len(pairs), config.seeds) for kind, values in found.items()}
    return {pair: {kind: part[i] for kind, part in parts.items()} for i, pair in enumerate(pairs)}


def pruned_size(teachers: PyTree, rate: float) -> int:
    """Return the bytes of the weights that are left, of one bit for each weight, and of the biases."""
    leaves = tree.flatten(tree.take(teachers["params"], 0))
    kernels = sum(leaf.size for path, leaf in leaves.items() if path.endswith("kernel"))
    return 4 * (tree.size(leaves) - round(rate * kernels)) + -(-kernels // 8)


def quantize(config: Config, teachers: PyTree, dataset: data.Dataset, run: Run) -> dict[int, drawings.QuantizedResult]:
    """Measure all networks with kernels of so many bits."""
    test, found = dataset.test, {}
    calibrate = partial(compress.calibrate, TEACHER, x=dataset.train["image"])
    ranges = jax.jit(jax.vmap(calibrate))(teachers)
    both = (compress.apply_integer, compress.apply_simulated)
    predict = jax.jit(jax.vmap(lambda v, x: [apply(TEACHER, v, x) for apply in both], (0, None)))
    for bits in config.bits:
        convert = partial(compress.quantize_variables, bits=bits)
        quantized = jax.device_get(jax.jit(jax.vmap(convert))(teachers, ranges))
        integer, simulated = (np.asarray(logits).argmax(-1) for logits in predict(quantized, test["image"]))
        first = tree.take(quantized, 0)
        size = compress.size_in_bytes(first, bits=bits)
        right = np.mean(integer == test["label"], axis=-1)
        found[bits] = drawings.QuantizedResult(right, size, float(np.mean(integer == simulated)))
        if bits == max(config.bits):
            export(first, test["image"], integer[0], run)
    return found


def export(variables: PyTree, images: Array, expected: np.ndarray, run: Run) -> None:
    """Write a network as one program, read it again and compare the predictions."""
    program = train.export(partial(compress.apply_integer, TEACHER), variables, (None, *images.shape[1:]))
    (run.directory / "network.stablehlo").write_bytes(program)
    again = np.asarray(jax.export.deserialize(bytearray(program)).call(images)).argmax(-1)
    run.console.print(f"network.stablehlo: {len(program):,} bytes, {np.mean(again == expected):.0%} equal predictions")


def distil(
    config: Config, teachers: PyTree, dataset: data.Dataset, random: np.random.Generator
) -> dict[str, np.ndarray]:
    """Train students alone and with a teacher, from equal weights in equal orders; return the accuracies ``[runs]``."""
    few = tree.take(dataset.train, random.permutation(len(dataset.train["label"]))[: config.student_labels])
    start = initialize(random, STUDENT, few["image"][:1], config.seeds)

    def loss(logits: Array, batch: Batch, mask: Array | None, teacher: PyTree) -> Array:
        return compress.distillation_loss(
            logits,
            batch["label"],
            teacher_logits=TEACHER.apply(teacher, batch["image"]),
            temperature=config.temperature,
            soft_weight=config.soft_weight,
            mask=mask,
        )

    first = tree.take(teachers, 0)
    taught = tasks.supervised(STUDENT, loss, target=None, extra={"teacher": first})
    with_teacher = {**start, "extra": {"teacher": {"params": teachers["params"]}}}
    fit = partial(learn, config, few)
    runs = {
        "alone": fit(tasks.classification(STUDENT), start, config.student_epochs),
        "distilled": fit(taught, with_teacher, config.student_epochs),
    }
    return {name: measure(STUDENT, dataset.test, variables) for name, variables in runs.items()}
