"""Names of DCGAN's weights."""

from collections.abc import Sequence

from jaxdl.models.generative.dcgan import DCGANDiscriminator, DCGANGenerator
from jaxdl.pretrained.rules import Rule


def pytorch_examples(model: DCGANGenerator | DCGANDiscriminator) -> Sequence[Rule]:
    """Return the names of PyTorch's examples, which number convolutions, norms and activations in one sequence."""
    count = len(model.widths)
    if isinstance(model, DCGANGenerator):
        places = [(f"upconv{i}", f"norm{i}", 3 * (i - 1)) for i in range(1, count + 1)]
        output = 3 * count
    else:  # the first layer has no norm
        places = [(f"conv{i}", f"norm{i}", max(0, 3 * i - 4)) for i in range(1, count + 1)]
        output = 3 * count - 1
    rules = [Rule(conv, f"main.{place}") for conv, _, place in places]
    rules += [Rule(norm, f"main.{place + 1}") for _, norm, place in places]
    return [*rules, Rule("output", f"main.{output}")]


RULES = {"pytorch_examples": pytorch_examples}
