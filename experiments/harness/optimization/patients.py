"""Random splits of the patients of scikit-learn's table of breast cancer (Street et al., 1993)."""

import numpy as np

from jaxdl import data
from jaxdl.data.files.downloads import require

PARTS = ("train", "validation", "test")
Split = dict[str, tuple[np.ndarray, np.ndarray]]
"""Measurements and labels of the three parts."""


def split_patients(seed: int, splits: int, learned: int, validated: int) -> Split:
    """Read the patients, split them at random, and standardize the measurements by those of the training.

    Args:
        seed: of the splits.
        splits: how many.
        learned: patients of the training.
        validated: patients of the validation; all others are of the test.

    Returns:
        Measurements ``[splits, N, 30]``, and 1 for malignant tumours, ``[splits, N]``.
    """
    table = require("sklearn.datasets", "reading the patients").load_breast_cancer()
    x, y = table.data.astype(np.float32), (table.target == 0).astype(np.float32)
    orders = np.stack([data.permutation(len(x), seed, split) for split in range(splits)])
    parts = np.split(orders, [learned, learned + validated], axis=1)
    mean, std = (moment(x[parts[0]], axis=1, keepdims=True) for moment in (np.mean, np.std))
    return {name: ((x[part] - mean) / std, y[part]) for name, part in zip(PARTS, parts, strict=True)}
