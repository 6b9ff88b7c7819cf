"""Small grey images without a file: random characters and gratings.

Each function returns ``{"image": float32 [N, 8, 8, 1], "label": int32 [N]}`` with values in [0, 1]. The seed may be a
NumPy generator, from which the random numbers are then drawn.
"""

import numpy as np

SIDE = 8
"""Height and width of the images."""


def glyphs(seed: int | np.random.Generator, count: int, num_classes: int = 64) -> dict[str, np.ndarray]:
    """Draw random characters: polylines through five random points, with ``count`` perturbed copies of each.

    A copy moves every point by Gaussian noise of 0.3 pixels, and the whole character by 0.4. The brightness at the
    distance ``d`` from the line is ``exp(-(d / 0.7)^2)``.

    >>> characters = glyphs(0, 2, num_classes=3)
    >>> characters["image"].shape, characters["label"].tolist()
    ((6, 8, 8, 1), [0, 0, 1, 1, 2, 2])
    """
    random = np.random.default_rng(seed)
    points = np.repeat(random.uniform(0.5, SIDE - 1.5, (num_classes, 5, 1, 2)), count, axis=0)
    bent = points + 0.3 * random.standard_normal(points.shape)
    points = bent + 0.4 * random.standard_normal((len(points), 1, 1, 2))
    pixels = np.indices((SIDE, SIDE)).reshape(1, 1, 2, -1).swapaxes(2, 3)
    start, along = points[:, :-1], points[:, 1:] - points[:, :-1]
    share = np.clip(np.sum((pixels - start) * along, -1, keepdims=True) / np.sum(along**2, -1, keepdims=True), 0, 1)
    distance = np.linalg.norm(pixels - start - share * along, axis=-1).min(axis=1)
    image = np.exp(-((distance / 0.7) ** 2)).reshape(-1, SIDE, SIDE, 1)
    return {"image": image.astype(np.float32), "label": np.repeat(np.arange(num_classes, dtype=np.int32), count)}


def gratings(seed: int | np.random.Generator, count: int, num_classes: int = 5) -> dict[str, np.ndarray]:
    """Draw sine waves in noise, labelled by their direction, which is up to 0.2 classes off.

    The labels cycle through the classes; the wave of class ``k`` runs at the angle ``pi k / num_classes`` to the rows,
    with a random phase and a length of 2.5 to 5 pixels. The noise has a standard deviation of 0.15.

    >>> gratings(0, 3, num_classes=2)["label"].tolist()
    [0, 1, 0]
    """
    random = np.random.default_rng(seed)
    label = np.arange(count, dtype=np.int32) % num_classes
    angle = np.pi * (label + random.uniform(-0.2, 0.2, count)) / num_classes
    y, x = np.mgrid[:SIDE, :SIDE]
    along = np.cos(angle)[:, None, None] * x + np.sin(angle)[:, None, None] * y
    length, phase = random.uniform(2.5, 5.0, (count, 1, 1)), random.uniform(size=(count, 1, 1))
    wave = 0.5 + 0.25 * np.sin(2 * np.pi * (along / length + phase))
    image = np.clip(wave + 0.15 * random.standard_normal(wave.shape), 0, 1)
    return {"image": image[..., None].astype(np.float32), "label": label}
