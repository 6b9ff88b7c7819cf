"""With a kernel that the stride divides, copies overlap evenly; whether the checkerboard goes is another question.

    python -m experiments run checkerboard

A transposed convolution adds up kernels that lie a stride apart. With stride 2 and size 3 or 5 some outputs get more
of them than others, with size 4 or 6 all get as many: the first picture counts them. Then a decoder is measured that
makes 32 x 32 pixels of 8 x 8: a 3x3 convolution to 8 maps, rectified, and two doublings, to 8 maps, rectified, and to
one, each by a transposed convolution of size 3, 4, 5 or 6 and stride 2, or by copying every number to 2x2 and
convolving 3x3 ("resize"). It learns to enlarge smooth random images (noise blurred by a Gaussian of 2 pixels) that were
averaged over 4 x 4; they have no waves near the stride's frequency, so what the decoder makes there is artefact.

Chosen beforehand: 16 seeds (weights, images), Adam at 0.003, batches of 16 new images, 600 steps. The artefact is the
share of the power (Hann window over the middle 24 x 24 pixels, mean of 64 images) at frequencies above 0.4 cycles a
pixel along rows or columns. All decoders of a seed see the same images. That divisible sizes have less is judged by the
logarithm to base 10 of the artefact, size 3 minus 4, 5 minus 4 and 5 minus 6; that they remove it, by whether size 4
has less than a tenth of the artefact of sizes 3 and 5, and, apart, less than "resize".

Seen, in about two minutes (estimated from 150 seconds of processor time on a busy machine): the overlap is uneven by 4
to 1 for size 3 and 9 to 4 for size 5, and even for 4 and 6. The artefact does not follow it. Random weights make as
much of it with every size, half of the power, since outputs beside each other see other weights, however many they see;
resizing makes 2 %. After learning it is 1.4e-3 for size 3, 5e-4 for 4, 4e-4 for 5, 3e-4 for 6 and 4e-4 for resizing:
it falls with the size, whether the stride divides it or not. Size 4 has 2.8 times less than 3, but more than 5; no size
removes it.
"""

from dataclasses import dataclass
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.claims import interval, judge
from experiments.harness.figures import COLOURS
from experiments.harness.run_folder import Run
from jaxdl import losses, optim, train
from jaxdl.nn import Conv, average_pool
from jaxdl.nn.convolution import filters
from jaxdl.nn.convolution.transposed import ConvTranspose, transposed_convolve
from jaxdl.nn.convolution.upsampling import upsample_nearest
from jaxdl.typing import Array, ArrayLike, Batch, Key, PyTree

CLAIMS = (17,)
KINDS = (3, 4, 5, 6, "resize")
RATE, BATCH, SIDE, MIDDLE, TESTED = 3e-3, 16, 32, 24, 64
FLOOR = 1e-12


@dataclass(frozen=True)
class Config(configuration.Config):
    """Decoders that double twice."""

    seeds: int = 16
    """Decoders of each kind."""
    steps: int = 600
    """Updates."""

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.at_least(self, seeds=2, steps=1)


class Decoder(nn.Module):
    """Two doublings, by transposed convolutions of a size or by copying and convolving."""

    kind: int | str

    @nn.compact
    def __call__(self, x: ArrayLike) -> Array:
        """Return ``[B, 32, 32, 1]`` for ``[B, 8, 8, 1]``."""
        x = nn.relu(Conv(8, (3, 3), padding="same")(x))
        return self.double(nn.relu(self.double(x, 8)), 1)

    def double(self, x: Array, features: int) -> Array:
        """Double height and width."""
        if self.kind == "resize":
            return Conv(features, (3, 3), padding="same")(upsample_nearest(x, 2))
        return ConvTranspose(features, (self.kind, self.kind), stride=2, padding="same")(x)


def run(config: Config, run: Run) -> dict[str, float]:
    """Count the overlap, train the decoders, measure the artefacts, judge, draw."""
    seeds, steps, kinds = (2, 2, (3, 4)) if run.smoke else (config.seeds, config.steps, KINDS)
    keys = jax.random.split(jax.random.key(config.seed), seeds)
    found = {kind: jax.device_get(jax.jit(jax.vmap(partial(learn, kind, steps)))(keys)) for kind in kinds}
    log = {kind: {when: np.log10(one[when] + FLOOR) for when in ("before", "after")} for kind, one in found.items()}
    counts = {kind: np.asarray(overlap(kind)) for kind in kinds if kind != "resize"}
    assess(run, log)
    run.figure("overlap", draw_overlap(counts))
    run.figure("artefacts", draw_artefacts(log))
    run.figure("images", draw_images(found))
    result = {f"log10_artefact_{when}_{kind}": float(log[kind][when].mean()) for kind in kinds for when in log[kind]}
    result |= {f"loss_{kind}": float(one["loss"].mean()) for kind, one in found.items()}
    return result | {f"overlap_{kind}": float(count.max() / count.min()) for kind, count in counts.items()}


def overlap(size: int) -> Array:
    """Count how many kernels fall onto every output, away from the borders: ``[8, 8]``."""
    ones = jnp.ones((size, size, 1, 1))
    return transposed_convolve(jnp.ones((12, 12, 1)), ones, stride=2, padding="same")[8:16, 8:16, 0]


def draw_smooth(key: Key, count: int) -> Array:
    """Draw smooth images ``[count, 32, 32, 1]`` of variance about one."""
    noise = jax.random.normal(key, (count, SIDE, SIDE, 1))
    return filters.gaussian_blur(noise, 2.0, truncate=3.0, mode="wrap") * 2 * 2 * np.pi**0.5


def learn(kind: int | str, steps: int, key: Key) -> dict[str, Array]:
    """Train a decoder on new images in every step; return its artefacts before and after, and some of its images."""
    start_key, image_key, test_key = jax.random.split(key, 3)
    decoder, optimizer = Decoder(kind), optim.adam(RATE)

    def loss(variables: PyTree, batch: Batch, key: Key) -> tuple[Array, tuple[dict, dict]]:
        return losses.mean_squared_error(decoder.apply(variables, average_pool(batch["image"], 4)), batch["image"]), (
            {},
            {},
        )

    step = train.make_step(loss, optimizer)

    def one(state: train.TrainState, number: Array) -> tuple[train.TrainState, None]:
        return step(state, {"image": draw_smooth(jax.random.fold_in(image_key, number), BATCH)})[0], None

    target = draw_smooth(test_key, TESTED)
    small = average_pool(target, 4)
    variables = decoder.init(start_key, small[:1])
    state = train.TrainState.create(variables, optimizer, start_key)
    state, _ = jax.lax.scan(one, state, jnp.arange(steps))
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
    middle = images[:, edge:-edge, edge:-edge, 0]
    window = jnp.hanning(MIDDLE)
    waves = jnp.abs(jnp.fft.fft2(middle * window[None, :, None] * window[None, None])) ** 2
    high = np.abs(np.fft.fftfreq(MIDDLE)) > 0.4
    band = high[:, None] | high[None]
    return jnp.sum(waves * band[None]) / jnp.sum(waves)


def assess(run: Run, log: dict[int | str, dict[str, np.ndarray]]) -> None:
    """Judge whether divisible sizes have less artefact, and whether they remove it."""
    for when, words in (("before", "before learning"), ("after", "after learning")):
        for odd, even in ((3, 4), (5, 4), (5, 6)):
            if {odd, even} <= log.keys():
                less = log[odd][when] - log[even][when]
                statement = f"{words}, size {even} has less artefact than size {odd} with stride 2"
                run.claim(judge(17, statement, "powers of ten less", less))
                if even == 4:
                    statement = f"{words}, size 4 removes the artefact of size {odd} to a tenth"
                    run.claim(judge(17, statement, "powers of ten less, of at least 1", less, above=1.0))
        if "resize" in log:
            less = log["resize"][when] - log[4][when]
            statement = f"{words}, size 4 has less artefact than resizing and convolving"
            run.claim(judge(17, statement, "powers of ten less", less))


def draw_overlap(counts: dict[int, np.ndarray]) -> Figure:
    """Draw how many kernels fall onto every output."""
    figure, axes = plt.subplots(1, len(counts), figsize=(3 * len(counts), 3.3), squeeze=False)
    for axis, (size, count) in zip(axes[0], counts.items(), strict=True):
        axis.imshow(count, cmap="Blues", vmin=0, vmax=1.3 * max(c.max() for c in counts.values()))
        for (row, column), number in np.ndenumerate(count):
            axis.text(column, row, f"{number:.0f}", ha="center", va="center", fontsize=8)
        axis.set(title=f"size {size}, stride 2", xticks=[], yticks=[])
        axis.grid(visible=False)
    return figure


def draw_artefacts(log: dict[int | str, dict[str, np.ndarray]]) -> Figure:
    """Draw the artefact of every decoder, with the mean and its interval."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True)
    for axis, when in zip(axes, ("before", "after"), strict=True):
        for place, (kind, values) in enumerate(log.items()):
            mean, low, high = interval(values[when])
            spread = place + np.linspace(-0.15, 0.15, len(values[when]))
            colour = COLOURS[2] if kind == "resize" else COLOURS[kind % 2]
            axis.plot(spread, values[when], ".", color=colour, alpha=0.4)
            axis.errorbar(place + 0.28, mean, yerr=[[mean - low], [high - mean]], fmt="o", color=colour, capsize=3)
        names = [kind if kind == "resize" else f"size {kind}" for kind in log]
        axis.set(title=f"{when} learning", xticks=range(len(log)), xticklabels=names)
    axes[0].set_ylabel("artefact: log10 of the share of power")
    return figure


def draw_images(found: dict[int | str, dict[str, np.ndarray]]) -> Figure:
    """Draw one image of the first seed: what was wanted, and what each decoder makes before and after."""
    figure, axes = plt.subplots(2, len(found) + 1, figsize=(2.2 * (len(found) + 1), 4.8))
    for axis in axes.flat:
        axis.set_axis_off()
    target = next(iter(found.values()))["images"][0, 0]
    axes[0, 0].imshow(target, cmap="gray")
    axes[0, 0].set_title("wanted", fontsize=9)
    for line, (kind, one) in zip(axes.T[1:], found.items(), strict=True):
        for axis, picture, when in zip(line, one["images"][0, 1:], ("before", "after"), strict=True):
            axis.imshow(picture, cmap="gray")
            axis.set_title(f"{kind if kind == 'resize' else f'size {kind}'}, {when}", fontsize=9)
    return figure
