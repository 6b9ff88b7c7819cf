"""Data: sources, batches, synthetic tasks."""

from jaxdl.data.batching import Loader, count_examples, padded_batches, prefetch, split

__all__ = ["Loader", "count_examples", "padded_batches", "prefetch", "split"]
