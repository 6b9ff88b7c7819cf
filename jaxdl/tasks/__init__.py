"""Tasks: what is learned, where model, loss and metrics meet."""

from jaxdl.tasks.classification import classification
from jaxdl.tasks.language_model import language_model
from jaxdl.tasks.sequences import sequence_classification, tagging
from jaxdl.tasks.task import Task
from jaxdl.tasks.translation import translation

__all__ = ["Task", "classification", "language_model", "sequence_classification", "tagging", "translation"]
