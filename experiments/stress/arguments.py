"""Arguments of the library's functions that are out of range or of another type."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from experiments.stress import victim
from experiments.stress.attack import Trial, nothing
from jaxdl import data, decode, embeddings, losses, metrics, models, nn, optim, train
from jaxdl.optim import schedules

NAN, INF = float("nan"), float("inf")
COUNT = (0, -1, 1.5, NAN, "many")
RATE = (-1e-3, NAN, "fast")
DECAY = (1.0, -0.1, NAN)
SHARE = (-0.1, 1.1, NAN)
LONG = "n" * 900_000
NAMES = ("", "nothing", LONG)

Values = dict[str, tuple[Any, ...]]


def trials(folder: Path, generator: np.random.Generator, times: int) -> Iterator[Trial]:
    """Call functions with one bad argument each, 50 times ``times``; the error must say what was got."""
    every = list(all_trials(folder))
    yield from (every[i] for i in sorted(generator.permutation(len(every))[: 50 * times]))


def all_trials(folder: Path) -> Iterator[Trial]:
    """Yield a call for every bad argument."""
    for name, (call, values) in {**of_training(folder), **of_optimizers(), **of_the_rest()}.items():
        for argument, bad in values.items():
            for value in bad:
                yield Trial(
                    f"{name}({argument}={value!r:.40})", functools.partial(call, **{argument: value}), nothing, ", got"
                )
    for name in models.list():
        for size in (-1, 1.5, "many"):
            call = functools.partial(models.create, name, num_classes=size)
            if "num_classes" in _fields(name):
                yield Trial(f"models.create({name!r}, num_classes={size})", call, nothing, ", got")


def _create(name: str) -> Any:
    return models.create(name)  # which takes no keyword


def _fields(name: str) -> set[str]:
    return set(type(models.create(name)).__dataclass_fields__)


def of_training(folder: Path) -> dict[str, tuple[Callable[..., Any], Values]]:
    """Return functions of `train` and `data`."""
    arrays = victim.make_arrays()
    step, state, loader = victim.make_run()
    fit = functools.partial(train.fit, step, state, loader, epochs=1)
    checkpoints = functools.partial(train.Checkpoints, folder / "checkpoints", config={})
    saving = functools.partial(train.SaveEvery, checkpoints())
    vocabulary = data.Vocabulary.build("abracadabra")
    (folder / "text.txt").write_text("some text")
    return {
        "train.fit": (fit, {"epochs": (0, -1, NAN, INF, "many"), "report_every": COUNT, "scan": ("yes", LONG, 2)}),
        "train.fit, epochs": (fit, {"hooks": ([3],), "evaluate": (3,)}),
        "train.make_step": (
            functools.partial(train.make_step, victim.Network, optim.sgd(0.1)),
            {"accumulate": COUNT},
        ),
        "train.Checkpoints": (
            checkpoints,
            {"keep": COUNT, "config": ({"a": NAN}, {"a": object()})},
        ),
        "train.SaveEvery": (saving, {"epochs": (0, -1, NAN, "many")}),
        "train.EarlyStopping": (
            functools.partial(train.EarlyStopping, "loss"),
            {"patience": COUNT},
        ),
        "train.EarlyStopping, patience": (
            functools.partial(train.EarlyStopping, "loss", patience=1),
            {"mode": NAMES, "min_delta": (-1, NAN, INF)},
        ),
        "train.ProgressBar": (train.ProgressBar, {"batch_size": COUNT}),
        "data.Loader": (
            functools.partial(data.Loader, arrays),
            {"batch_size": (*COUNT, 97)},
        ),
        "data.Loader, batch_size": (
            functools.partial(data.Loader, arrays, 8),
            {"seed": (-1, 1.5, NAN, "s"), "process_index": (-1, 1), "process_count": (0, -1, 3.5)},
        ),
        "data.split": (
            functools.partial(data.split, arrays, held_out=0.5),
            {"held_out": (0, -1, 1.5, NAN, 96, 97), "stratify": NAMES},
        ),
        "data.load": (data.load, {"name": NAMES}),
        "data.read_text": (functools.partial(data.read_text, folder / "text.txt"), {"limit": COUNT, "encoding": NAMES}),
        "data.Vocabulary.build": (
            functools.partial(data.Vocabulary.build, "ab"),
            {"min_count": COUNT, "max_size": (0, 1, 2)},
        ),
        "data.Vocabulary": (data.Vocabulary, {"tokens": ("text", (), ("a", "a"), (1,), (LONG, LONG))}),
        "Vocabulary.decode": (vocabulary.decode, {"ids": ([-1], [99], [2**31], [1.5])}),
        "data.resize": (
            functools.partial(data.resize, np.zeros((1, 4, 4, 1)), size=2),
            {"size": (0, -1, (2, 0), 1.5), "method": NAMES},
        ),
    }


def of_optimizers() -> dict[str, tuple[Callable[..., Any], Values]]:
    """Return optimizers, clipping and schedules."""
    rated = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw", "adamax", "maxprop", "nadam")
    found: dict[str, tuple[Callable[..., Any], Values]] = {
        f"optim.{name}": (getattr(optim, name), {"learning_rate": RATE}) for name in rated
    }
    bounds = (0, -1, NAN, "many")
    found |= {
        f"optim.{name}": (getattr(optim, name), {"max_norm": bounds})
        for name in ("clip_by_norm", "clip_by_global_norm")
    }
    return found | {
        "optim.adam, rate": (functools.partial(optim.adam, 0.1), {"b1": DECAY, "b2": DECAY, "eps": RATE}),
        "optim.momentum, rate": (functools.partial(optim.momentum, 0.1), {"decay": DECAY}),
        "optim.adamw, rate": (functools.partial(optim.adamw, 0.1), {"weight_decay": RATE}),
        "optim.clip": (optim.clip, {"max_delta": bounds}),
        "optim.add_decayed_weights": (optim.add_decayed_weights, {"weight_decay": RATE}),
        "schedules.cosine_decay": (functools.partial(schedules.cosine_decay, 0.1), {"steps": COUNT}),
        "schedules.linear": (functools.partial(schedules.linear, 0.1, 0.0), {"steps": COUNT}),
        "schedules.step_decay": (functools.partial(schedules.step_decay, 0.1), {"every": COUNT}),
        "schedules.triangular": (functools.partial(schedules.triangular, 0.1, 0.2), {"half_period": COUNT}),
        "schedules.warmup": (functools.partial(schedules.warmup, schedules.constant(0.1)), {"steps": COUNT}),
        "schedules.piecewise_constant": (
            functools.partial(schedules.piecewise_constant, [1.0, 2.0, 3.0]),
            {"boundaries": ([1], [2, 1], [1, 2, 3])},
        ),
    }


def of_the_rest() -> dict[str, tuple[Callable[..., Any], Values]]:
    """Return losses, metrics, models, layers, decoding and tools of interpretation."""
    logits, labels, tokens = np.zeros((2, 3), np.float32), np.zeros(2, np.int32), jnp.zeros(2, jnp.int32)
    smoothed = {"label_smoothing": SHARE, "reduction": NAMES}
    step = functools.partial(decode.greedy, lambda carry, token: (carry, jnp.zeros((2, 3))), (), tokens)
    return {
        "losses.cross_entropy": (
            functools.partial(losses.cross_entropy, logits),
            {"labels": (np.array([3, 0]), np.array([-1, 0]), np.array([2**32, 0]), np.zeros(3, int), np.zeros(2))},
        ),
        "losses.cross_entropy, labels": (functools.partial(losses.cross_entropy, logits, labels), smoothed),
        "losses.binary_cross_entropy": (functools.partial(losses.binary_cross_entropy, logits, logits), smoothed),
        "losses.huber": (functools.partial(losses.huber, logits, logits), {"delta": (0, -1, NAN)}),
        "metrics.confusion_matrix": (
            functools.partial(metrics.confusion_matrix, labels, labels),
            {"num_classes": (-1, 1.5, "many")},
        ),
        "models.create": (_create, {"name": NAMES}),
        "models.create, mlp": (
            functools.partial(models.create, "mlp"),
            {"hidden_sizes": ((0,), (-1,), (1.5,)), "num_classes": (-1, 1.5), LONG: (1,)},
        ),
        "nn.dropout": (functools.partial(nn.dropout, jnp.zeros(2, jnp.uint32), logits), {"rate": SHARE}),
        "decode.greedy": (step, {"max_length": (-1, 1.5, NAN, "many")}),
        "embeddings.load": (functools.partial(embeddings.load, "missing"), {"format": NAMES, "limit": (-1, 1.5)}),
    }
