"""Names of BERT's weights."""

from collections.abc import Sequence
from functools import partial

from jaxdl.models.transformers.bert import BERT
from jaxdl.pretrained.families.vit import blocks
from jaxdl.pretrained.layouts import ignored, parameter, tied
from jaxdl.pretrained.rules import Rule

PARTS_OF_HEADS = {
    None: (r"{}pooler\.dense",),
    "masked_language_model": (r"cls\.predictions",),
    "classification": (r"{}pooler\.dense", "classifier"),
}
"""Where the weights of each head are; what files have for the others is passed over."""


def huggingface(model: BERT, prefix: str = "bert.", norm: tuple[str, str] = ("weight", "bias")) -> Sequence[Rule]:
    """Return the names of ``BertModel``, ``BertForMaskedLM`` and ``BertForSequenceClassification``, by the head.

    Files of ``BertForPreTraining`` have these weights too, and do for any head but "classification"; those of
    ``BertForSequenceClassification`` also for None. Those of ``BertForMaskedLM`` lack the pooler, and serve their own
    head alone.

    Args:
        model: ours.
        prefix: of the weights of all but the heads.
        norm: names of the scale and the bias of a norm.
    """

    def named(ours: str, theirs: str) -> list[Rule]:
        scale, bias = (f"{theirs}.LayerNorm.{name}" for name in norm)
        return [Rule(f"{ours}/scale", scale, parameter()), Rule(f"{ours}/bias", bias, parameter())]

    embeddings = f"{prefix}embeddings"
    positions = parameter(lambda theirs: theirs[: model.context_length])  # beyond them are none of ours
    rules = [
        Rule("embedding", f"{embeddings}.word_embeddings"),
        Rule("positions/embedding", f"{embeddings}.position_embeddings.weight", positions),
        Rule("segments", f"{embeddings}.token_type_embeddings"),
        *named("embedding_norm", embeddings),
        Rule("pooler", f"{prefix}pooler.dense"),
        Rule("output", "classifier"),
        Rule("transform", "cls.predictions.transform.dense"),
        *named("transform_norm", "cls.predictions.transform"),
        Rule("output_bias", "cls.predictions.bias", parameter()),
        Rule("", rf"{embeddings}\.position_ids|cls\.seq_relationship\..*", ignored),
    ]
    own = PARTS_OF_HEADS[model.head]
    if model.head == "masked_language_model":
        rules.append(Rule("", "cls.predictions.decoder.weight", tied(f"{embeddings}.word_embeddings.weight")))
        rules.append(Rule("", "cls.predictions.decoder.bias", tied("cls.predictions.bias")))
    others = {part for parts in PARTS_OF_HEADS.values() for part in parts} - set(own)
    rules += [Rule("", part.format(prefix) + r"\..*", ignored) for part in sorted(others)]
    for ours, number in blocks(model):
        theirs = f"{prefix}encoder.layer.{number}"
        rules += [
            Rule(f"{ours}/attention/output", f"{theirs}.attention.output.dense"),
            Rule(f"{ours}/attention/(.*)", rf"{theirs}.attention.self.\1"),
            Rule(f"{ours}/dense1", f"{theirs}.intermediate.dense"),
            Rule(f"{ours}/dense2", f"{theirs}.output.dense"),
            *named(f"{ours}/norm1", f"{theirs}.attention.output"),
            *named(f"{ours}/norm2", f"{theirs}.output"),
        ]
    return rules


RULES = {
    "huggingface": huggingface,
    "huggingface_model": partial(huggingface, prefix=""),
    "huggingface_first": partial(huggingface, norm=("gamma", "beta")),
}
"""By source; ``huggingface_model`` is for the files of ``BertModel``, ``huggingface_first`` for the first that were
published, whose norms have ``gamma`` and ``beta``.
"""
