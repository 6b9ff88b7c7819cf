"""Checkpoints that notice a flipped bit, weights in files, interruption."""

from jaxdl.train.checkpointing import snapshot, weights
from jaxdl.train.checkpointing.checkpoint import Checkpoints
from jaxdl.train.checkpointing.integrity import (
    DamagedError,
    Form,
    check_same_forms,
    file_digest,
    forms,
    is_array,
    is_key,
    key_implementation,
    leaf_digest,
)
from jaxdl.train.checkpointing.interrupt import Interruption, interruptible

__all__ = [
    "Checkpoints",
    "DamagedError",
    "Form",
    "Interruption",
    "check_same_forms",
    "file_digest",
    "forms",
    "interruptible",
    "is_array",
    "is_key",
    "key_implementation",
    "leaf_digest",
    "snapshot",
    "weights",
]
