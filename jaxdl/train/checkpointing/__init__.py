"""Checkpoints, weights in files, and interruption.

- ``checkpoint``: the checkpoints of one run, saved atomically and verified when restored.
- ``snapshot``: the folder of one checkpoint.
- ``weights``: the weights of a model in one safetensors file.
- ``integrity``: digests of files, and the comparison of stored with expected leaves.
- ``interrupt``: a hook that stops a run after a signal.
"""

from jaxdl.train.checkpointing import snapshot, weights
from jaxdl.train.checkpointing.checkpoint import Checkpoints
from jaxdl.train.checkpointing.integrity import DamagedError, UnreadableError, check_same_forms, file_digest
from jaxdl.train.checkpointing.interrupt import Interruption, interruptible

__all__ = [
    "Checkpoints",
    "DamagedError",
    "Interruption",
    "UnreadableError",
    "check_same_forms",
    "file_digest",
    "interruptible",
    "snapshot",
    "weights",
]
