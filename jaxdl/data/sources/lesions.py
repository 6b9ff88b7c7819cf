"""Images with several right segmentations, of a known distribution."""

import numpy as np

PROBABILITIES = (0.25, 0.45, 0.3)
"""The share of annotators that mark nothing, the core, and the core with its halo."""


def draw_lesions(seed: int | np.random.Generator, count: int, *, size: int = 32) -> dict[str, np.ndarray]:
    """Draw a bright spot in a dim halo on noise, with the masks of three kinds of annotators.

    The first marks nothing, the second the spot, the third the halo too; `PROBABILITIES` are their shares for every
    image, which shows nothing of which of them will look at it. The radii are 3 to 5 pixels, and 3 to 4 more.

    Args:
        seed: seed, or generator from which the random numbers are drawn.
        count: number of images.
        size: height and width.

    Returns:
        ``{"image": float32 [N, H, W, 1], "masks": int32 [N, 3, H, W]}``.

    >>> lesions = draw_lesions(0, 2)
    >>> lesions["image"].shape, lesions["masks"].shape
    ((2, 32, 32, 1), (2, 3, 32, 32))
    """
    random = np.random.default_rng(seed)
    centre = random.uniform(10, size - 10, (count, 2, 1, 1))
    core = random.uniform(3, 5, (count, 1, 1))
    halo = core + random.uniform(3, 4, (count, 1, 1))
    distance = np.sqrt(np.square(np.indices((size, size))[None] - centre).sum(axis=1))
    masks = np.stack([np.zeros_like(distance, bool), distance < core, distance < halo], axis=1)
    image = 0.5 * masks[:, 1] + 0.3 * masks[:, 2] + random.normal(0, 0.1, distance.shape)
    return {"image": image[..., None].astype(np.float32), "masks": masks.astype(np.int32)}
