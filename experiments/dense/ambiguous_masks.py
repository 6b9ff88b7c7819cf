"""A probabilistic U-Net draws whole readings of an ambiguous image; a plain one blends them.

    python -m experiments run ambiguous_masks

Images of a bright spot in a dim halo have three annotators: one marks nothing, one the spot, one the halo too, with
shares that are known and the same for every image. Both networks learn from one mask at a time. The generalized energy
distance (Kohl et al., 2018) compares 16 masks for each of 48 new images with the annotators' distribution: masks of the
probabilistic U-Net, the most probable mask of the plain one, masks of its pixels drawn one by one, and, for the best
that can be expected, masks of 16 annotators. A drawn mask counts as that of the annotator whose mask is nearest.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.progress import track

from experiments.dense import drawings
from experiments.harness.claims import Statement, judge_all
from experiments.harness.configuration import Config as Base
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from jaxdl import data, metrics, models, optim, tasks, train
from jaxdl.data.sources.lesions import PROBABILITIES, draw_lesions
from jaxdl.optim.schedules import cosine_decay
from jaxdl.typing import Array, Key, PyTree

CLAIMS = (41,)
DRAWN, PLAIN, PIXELS, TRUE = "probabilistic U-Net", "plain U-Net", "plain, pixels drawn", "annotators"
REPEATS, SHARE_ERROR = 8, 0.15


@dataclass(frozen=True)
class Config(Base):
    """A distribution of segmentations against one."""

    SMOKE = {"seeds": 2, "steps": 1, "images": 2, "tested": 2, "samples": 2, "batch_size": 2, "widths": (2, 2)}
    LEAST = {"seeds": 2}
    POSITIVE = ("beta",)

    seeds: int = 6
    """Independent runs of each network."""
    steps: int = 300
    """Updates."""
    images: int = 256
    """Images for training, with 8 masks each."""
    tested: int = 48
    """New images."""
    samples: int = 16
    """Masks drawn for each."""
    batch_size: int = 16
    widths: tuple[int, ...] = (8, 16, 32)
    """Channels of the scales."""
    latent_size: int = 2
    """Elements of the vector that stands for a reading."""
    beta: float = 1.0
    """Weight of the divergence of posterior and prior."""
    learning_rate: float = 2e-3
    """Largest rate of Adam, with a cosine decay."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train both networks for every seed, measure the distances, judge, draw."""
    random = np.random.default_rng(config.seed)
    train_set, test_set = draw_lesions(random, config.images), draw_lesions(random, config.tested)
    chosen = random.choice(3, (REPEATS, config.images), p=PROBABILITIES)
    arrays = {
        "image": np.concatenate([train_set["image"]] * REPEATS),
        "label": np.concatenate([train_set["masks"][np.arange(config.images), each] for each in chosen]),
    }
    probabilistic = models.ProbabilisticUNet(2, config.widths, config.latent_size)
    plain = models.UNet(2, config.widths, padding="same", dropout_rate=0.0)
    learned = {
        DRAWN: train_seeds(config, DRAWN, tasks.probabilistic_segmentation(probabilistic, beta=config.beta), arrays),
        PLAIN: train_seeds(config, PLAIN, tasks.segmentation(plain), arrays),
    }
    image, masks = test_set["image"], test_set["masks"]
    draw = jax.jit(lambda variables, key: draw_masks(probabilistic, variables, image, config.samples, key))
    share = jax.jit(lambda variables: jax.nn.softmax(plain.apply(variables, image))[..., 1])
    found: dict[str, list[np.ndarray]] = {name: [] for name in (DRAWN, PLAIN, PIXELS, TRUE)}
    for seed, (variables, other) in enumerate(zip(learned[DRAWN], learned[PLAIN], strict=True)):
        probability = np.asarray(share(other))
        pixels = random.uniform(size=(config.samples, *probability.shape)) < probability
        annotators = random.choice(3, (config.samples, config.tested), p=PROBABILITIES)
        found[DRAWN].append(np.asarray(draw(variables, jax.random.key(seed))))
        found[PLAIN].append((probability > 0.5)[:, None].astype(np.int32))
        found[PIXELS].append(np.moveaxis(pixels, 0, 1).astype(np.int32))
        found[TRUE].append(np.stack([masks[i, annotators[:, i]] for i in range(config.tested)]))
    distances = {
        name: np.array([np.mean(measure_distance(each, masks)) for each in runs]) for name, runs in found.items()
    }
    errors = np.array([np.abs(frequencies(each, masks) - PROBABILITIES).sum() / 2 for each in found[DRAWN]])
    judge_all(run, statements(distances, errors))
    run.figure("readings", drawings.draw_readings(image[:4], masks[:4], found[DRAWN][0][:4], probability[:4]))
    run.figure("distances", drawings.draw_distances(distances))
    return {**means(distance=distances), "share_error": float(errors.mean())}


def train_seeds(config: Config, name: str, task: tasks.Task, arrays: dict[str, np.ndarray]) -> list[PyTree]:
    """Train with every seed by one compiled step; return the variables."""
    optimizer = optim.adam(cosine_decay(config.learning_rate, config.steps))
    step = jax.jit(train.make_step(task.loss, optimizer), donate_argnums=0)
    found = []
    for seed in range(config.seed, config.seed + config.seeds):
        loader = data.Loader(arrays, config.batch_size, seed=seed)
        init_key, run_key = jax.random.split(jax.random.key(seed))
        state = train.TrainState.create(task.init(init_key, loader.batch(0)), optimizer, run_key)
        for number in track(range(config.steps), f"{name}, seed {seed}", console=Console(stderr=True)):
            state, _ = step(state, loader.batch(number))
        found.append(state.variables)
    return found


def draw_masks(model: models.ProbabilisticUNet, variables: PyTree, image: Array, count: int, key: Key) -> Array:
    """Draw masks of images ``[N, H, W, 1]``, ``[N, count, H, W]``."""
    noise = jax.random.normal(key, (count, len(image), model.latent_size))
    logits: Any = model.apply(variables, image, noise, method="sample_segmentations")
    return jnp.moveaxis(metrics.predict(logits), 0, 1)


@jax.jit
def measure_distance(samples: Array, masks: Array) -> Array:
    """Return the distance of ``samples [N, S, H, W]`` from the annotators, ``[N]``."""
    shares = jnp.array(PROBABILITIES)
    return jax.vmap(lambda s, y: metrics.generalized_energy_distance(s, y, probabilities=shares))(samples, masks)


def frequencies(samples: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return the share of samples ``[N, S, H, W]`` that each annotator's mask is nearest to, by differing pixels."""
    differing = np.abs(samples[:, :, None] - masks[:, None]).sum(axis=(-2, -1))
    return np.bincount(differing.argmin(axis=-1).ravel(), minlength=masks.shape[1]) / differing[..., 0].size


def statements(distances: dict[str, np.ndarray], errors: np.ndarray) -> Iterator[Statement]:
    """State what the distances of every seed, and the errors of the shares, show."""
    for other in (PLAIN, PIXELS):
        gained = distances[other] - distances[DRAWN]
        statement = f"a {DRAWN} is nearer to the annotators' distribution than a {other}"
        yield Statement(41, statement, "generalized energy distance, the second minus the first", gained)
    statement = "it draws every reading as often as the annotators do"
    measure = f"{SHARE_ERROR} minus the total variation distance of the shares"
    yield Statement(41, statement, measure, SHARE_ERROR - errors)
