"""Names of GoogLeNet's weights.

Torchvision's file has the auxiliary heads, and its weights are for ``transform_input=True``.
"""

from collections.abc import Sequence

from jaxdl.models.vision.googlenet import GoogLeNet
from jaxdl.pretrained.layouts import flattened
from jaxdl.pretrained.rules import Rule


def torchvision(model: GoogLeNet) -> Sequence[Rule]:
    """Return the names of torchvision, which has the form with batch norm.

    Raises:
        ValueError: the model is of the published form.
    """
    if model.form != "batch_norm":
        raise ValueError(f"expected form='batch_norm', got {model.form!r}; torchvision has no other weights")
    rules = []
    for ours, theirs in (("conv", "conv"), ("norm", "bn")):
        rules += [
            Rule(rf"(conv\d)/{ours}", rf"\1.{theirs}"),
            Rule(rf"(inception..)/branch1/{ours}", rf"\1.branch1.{theirs}"),
            Rule(rf"(inception..)/branch([23])_reduce/{ours}", rf"\1.branch\2.0.{theirs}"),
            Rule(rf"(inception..)/branch([234])/{ours}", rf"\1.branch\2.1.{theirs}"),
            Rule(rf"auxiliary(\d)_conv/{ours}", rf"aux\1.conv.{theirs}"),
        ]
    return [
        *rules,
        Rule(r"auxiliary(\d)_dense", r"aux\1.fc1", flattened(4, 4)),
        Rule(r"auxiliary(\d)_output", r"aux\1.fc2"),
        Rule("output", "fc"),
    ]


def undetermined(model: GoogLeNet) -> dict[str, str]:
    """Return the fields that a file does not determine, with advice."""
    del model
    return {"transform_input": "True for the weights that torchvision publishes, False for those trained without it"}


RULES = {"torchvision": torchvision}
UNDETERMINED = {"torchvision": undetermined}
