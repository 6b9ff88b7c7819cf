"""Kernel sizes that the stride divides give an even overlap; whether they remove the checkerboard is measured.

    python -m experiments run checkerboard

A transposed convolution adds kernels a stride apart: with stride 2, sizes 3 and 5 overlap unevenly, 4 and 6 evenly. A
decoder from 8 x 8 to 32 x 32 pixels (a 3x3 convolution and two doublings, by transposed convolutions of size 3, 4, 5 or
6, or by upsampling and a 3x3 convolution, "resize") learns to enlarge smooth random images, 16 seeds, Adam at 0.003,
600 steps of 16 new images. The artifact is the share of the power (Hann window, middle 24 x 24 pixels) above 0.4 cycles
per pixel along rows or columns, where the images have none. Sizes are compared by its logarithm, before and after
learning; an artifact is removed if less than a tenth is left.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from experiments.harness import configuration
from experiments.harness.claims import Statement, judge_all
from experiments.harness.learning import check_learned, fit_samples
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from experiments.harness.vision.spectra import high_frequency_share
from experiments.vision import drawings
from jaxdl import losses, optim
from jaxdl.nn import Conv, average_pool
from jaxdl.nn.convolution import filters
from jaxdl.nn.convolution.transposed import ConvTranspose, transposed_convolve
from jaxdl.nn.convolution.upsampling import upsample_nearest
from jaxdl.typing import Array, ArrayLike, Batch, Key, PyTree

CLAIMS = (17,)
KINDS = ("3", "4", "5", "6", "resize")
RATE, SIDE, MIDDLE = 3e-3, 32, 24
FLOOR = 1e-12


@dataclass(frozen=True)
class Config(configuration.Config):
    """Decoders with two doublings."""

    SMOKE = {"seeds": 2, "steps": 2, "kinds": ("3", "4"), "batch_size": 2, "tested": 2}
    CHOICES = {"kinds": (KINDS, ("4",))}
    LEAST = {"seeds": 2}

    seeds: int = 16
    """Decoders of each kind."""
    steps: int = 600
    """Updates."""
    batch_size: int = 16
    """Images in a batch, always new."""
    tested: int = 64
    """Images of the test."""
    kinds: tuple[str, ...] = KINDS
    """Kernel sizes of the transposed convolutions, or resize; 4 must be among them."""


class Decoder(linen.Module):
    """Two doublings, by transposed convolutions of a size or by upsampling and convolution."""

    kind: int | str

    @linen.compact
    def __call__(self, x: ArrayLike) -> Array:
        """Return ``[B, 32, 32, 1]`` for ``[B, 8, 8, 1]``."""
        x = linen.relu(Conv(8, (3, 3), padding="same")(x))
        return self.double(linen.relu(self.double(x, 8)), 1)

    def double(self, x: Array, features: int) -> Array:
        """Double height and width."""
        if self.kind == "resize":
            return Conv(features, (3, 3), padding="same")(upsample_nearest(x, 2))
        return ConvTranspose(features, (self.kind, self.kind), stride=2, padding="same")(x)


def run(config: Config, run: Run) -> dict[str, float]:
    """Count the overlap, train the decoders, measure the artifacts, judge, draw."""
    kinds = [kind if kind == "resize" else int(kind) for kind in config.kinds]
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    found = {kind: jax.device_get(jax.jit(jax.vmap(partial(learn, kind, config)))(keys)) for kind in kinds}
    check_learned([one["loss"] for one in found.values()])
    log = {when: {kind: np.log10(one[when] + FLOOR) for kind, one in found.items()} for when in ("before", "after")}
    counts = {kind: np.asarray(overlap(kind)) for kind in kinds if kind != "resize"}
    for when, each in log.items():
        judge_all(run, statements(when, each))
    run.figure("overlap", drawings.draw_overlap(counts))
    run.figure("artefacts", drawings.draw_artefacts(log))
    run.figure("images", drawings.draw_decoded(found))
    return means(
        log10_artefact_before=log["before"],
        log10_artefact_after=log["after"],
        loss={kind: one["loss"] for kind, one in found.items()},
        overlap={kind: count.max() / count.min() for kind, count in counts.items()},
    )


def overlap(size: int) -> Array:
    """Count the kernels that contribute to every output, away from the borders: ``[8, 8]``."""
    ones = jnp.ones((size, size, 1, 1))
    return transposed_convolve(jnp.ones((12, 12, 1)), ones, stride=2, padding="same")[8:16, 8:16, 0]


def draw_smooth(key: Key, count: int) -> Array:
    """Draw smooth images ``[count, 32, 32, 1]`` of variance about one."""
    noise = jax.random.normal(key, (count, SIDE, SIDE, 1))
    return filters.gaussian_blur(noise, 2.0, truncate=3.0, mode="wrap") * 2 * 2 * np.pi**0.5


def learn(kind: int | str, config: Config, key: Key) -> dict[str, Array]:
    """Train a decoder on new images in every step; return its artifacts before and after, and some images."""
    start_key, image_key, test_key = jax.random.split(key, 3)
    decoder, optimizer = Decoder(kind), optim.adam(RATE)

    def loss(variables: PyTree, batch: Batch, key: Key) -> tuple[Array, tuple[dict, dict]]:
        decoded = decoder.apply(variables, average_pool(batch["image"], 4))
        return losses.mean_squared_error(decoded, batch["image"]), ({}, {})

    def sample(number: Array) -> Batch:
        return {"image": draw_smooth(jax.random.fold_in(image_key, number), config.batch_size)}

    target = draw_smooth(test_key, config.tested)
    small = average_pool(target, 4)
    variables = decoder.init(start_key, small[:1])
    state, _ = fit_samples(loss, optimizer, variables, sample, jnp.arange(config.steps), start_key)
    before, after = decoder.apply(variables, small), decoder.apply(state.variables, small)
    return {
        "before": artefact(before),
        "after": artefact(after),
        "target": artefact(target),
        "loss": jnp.mean((after - target) ** 2),
        "images": jnp.stack([target[0], before[0], after[0]])[..., 0],
    }


def artefact(images: Array) -> Array:
    """Return the share of the power of ``[B, 32, 32, 1]`` near the stride's frequency of half a cycle a pixel."""
    edge = (SIDE - MIDDLE) // 2
    return high_frequency_share(images[:, edge:-edge, edge:-edge, 0], 0.4)


def statements(when: str, found: dict[int | str, np.ndarray]) -> Iterator[Statement]:
    """State whether sizes divisible by the stride have less artifact, and whether they remove it."""
    for odd, even in ((3, 4), (5, 4), (5, 6)):
        if {odd, even} <= found.keys():
            less = found[odd] - found[even]
            statement = f"{when} learning, size {even} has less artefact than size {odd} with stride 2"
            yield Statement(17, statement, "powers of ten less", less)
            if even == 4:
                statement = f"{when} learning, size 4 removes the artefact of size {odd} to a tenth"
                yield Statement(17, statement, "powers of ten less, of at least 1", less, above=1.0)
    if "resize" in found:
        statement = f"{when} learning, size 4 has less artefact than resizing and convolving"
        yield Statement(17, statement, "powers of ten less", found["resize"] - found[4])
