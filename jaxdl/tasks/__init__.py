"""Tasks: what is learned, where model, loss and metrics meet."""

from jaxdl.tasks.language import language_model
from jaxdl.tasks.seq2seq import translation
from jaxdl.tasks.sequences import sequence_classification, tagging
from jaxdl.tasks.supervised import classification
from jaxdl.tasks.task import Task

__all__ = ["Task", "classification", "language_model", "sequence_classification", "tagging", "translation"]
