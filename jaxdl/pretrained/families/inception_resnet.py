"""Names of the weights of Inception-ResNet v2."""

from collections.abc import Mapping, Sequence

from jaxdl.models.vision.inception_resnet import BLOCKS, MIXED_5B, REDUCTIONS, BranchConv, InceptionResNetV2
from jaxdl.pretrained.rules import Rule

CONVOLUTIONS = {"conv1": "1a", "conv2": "2a", "conv3": "2b", "conv4": "3b", "conv5": "4a", "conv6": "7b"}
SEQUENCES = {"block35": "repeat", "block17": "repeat_1", "block8": "repeat_2"}


def timm(model: InceptionResNetV2) -> Sequence[Rule]:
    """Return the names of timm, where branches are numbered and the last block is outside of the sequences."""
    pairs = {name: f"conv2d_{peer}" for name, peer in CONVOLUTIONS.items()}
    pairs |= _branches("mixed5b", "mixed_5b", MIXED_5B)
    for name, branches in REDUCTIONS.items():
        pairs |= _branches(name, name.replace("mixed", "mixed_"), branches)
    rules = []
    for (kind, branches), depth in zip(BLOCKS.items(), model.depths, strict=True):
        for i in range(1, depth + 1):
            outside = kind == "block8" and i == depth
            theirs = "block8" if outside else f"{SEQUENCES[kind]}.{i - 1}"
            pairs |= _branches(f"{kind}_{i}", theirs, branches)
            rules.append(Rule(f"{kind}_{i}/join", f"{theirs}.conv2d"))
    for ours, theirs in pairs.items():
        rules += [Rule(f"{ours}/conv", f"{theirs}.conv"), Rule(f"{ours}/norm", f"{theirs}.bn")]
    return [*rules, Rule("output", "classif")]


def _branches(ours: str, theirs: str, branches: Mapping[str, Sequence[BranchConv]]) -> dict[str, str]:
    """Name the convolutions of a module: a branch of one layer is no sequence, and pooling is a layer."""
    pairs = {}
    for number, (branch, convs) in enumerate(branches.items()):
        first = 1 if branch == "pool" else 0
        for i in range(len(convs)):
            place = "" if len(convs) == 1 and not first else f".{i + first}"
            pairs[f"{ours}/{branch}_{i + 1}"] = f"{theirs}.branch{number}{place}"
    return pairs


RULES = {"timm": timm}
