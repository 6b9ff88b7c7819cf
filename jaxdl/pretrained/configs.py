"""The ``config.json`` that transformers writes beside weights: what of it changes a model's output.

Every setting becomes a field of our model, or must have the value that our model computes; any other is an error.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flax import linen

from jaxdl.checks import shorten
from jaxdl.data.files.opening import read_plain_text

FILE = "config.json"
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "linear": "identity",
}
"""Our names of the activations of transformers."""
WITHOUT_SHAPE = ("epsilon", "activation", "num_heads", "rope_base")
"""Fields that no shape of a weight shows."""


@dataclass(frozen=True)
class Format:
    """The settings of one kind of model in transformers.

    Attributes:
        name: a registered model of ours of this family.
        fields: setting, our field and the setting's default.
        activation: the setting of the activation, and its default.
        fixed: settings with the only value that our model computes, which is their default.
        architectures: classes of transformers, and fields that they determine.
        flags: setting, our field and the setting's default, of the Boolean ones.
        classes: the architectures with as many logits as labels.
        tied: the architectures whose output is the embedding again.
        rotary: whether positions are rotary, of which our model computes those that are not scaled.
    """

    name: str
    fields: Mapping[str, tuple[str, Any]]
    activation: tuple[str, str]
    fixed: Mapping[str, Any]
    architectures: Mapping[str, Mapping[str, Any]]
    flags: Mapping[str, tuple[str, bool]] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    tied: tuple[str, ...] = ()
    rotary: bool = False


_GPT2 = Format(
    name="gpt2",
    fields={
        "vocab_size": ("vocab_size", 50_257),
        "n_positions": ("context_length", 1024),
        "n_embd": ("d_model", 768),
        "n_layer": ("num_layers", 12),
        "n_head": ("num_heads", 12),
        "n_inner": ("mlp_dim", None),
        "resid_pdrop": ("dropout_rate", 0.1),
        "attn_pdrop": ("attention_dropout_rate", 0.1),
        "layer_norm_epsilon": ("epsilon", 1e-5),
    },
    activation=("activation_function", "gelu_new"),
    fixed={"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False},
    architectures={"GPT2LMHeadModel": {}, "GPT2Model": {}},
    tied=("GPT2LMHeadModel",),
)
_ENCODER = {
    "hidden_size": ("d_model", 768),
    "num_hidden_layers": ("num_layers", 12),
    "num_attention_heads": ("num_heads", 12),
    "intermediate_size": ("mlp_dim", 3072),
    "layer_norm_eps": ("epsilon", 1e-12),
}
_BERT = Format(
    name="bert_base",
    fields={
        **_ENCODER,
        "vocab_size": ("vocab_size", 30_522),
        "max_position_embeddings": ("context_length", 512),
        "type_vocab_size": ("num_segments", 2),
        "hidden_dropout_prob": ("dropout_rate", 0.1),
        "attention_probs_dropout_prob": ("attention_dropout_rate", 0.1),
    },
    activation=("hidden_act", "gelu"),
    fixed={"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False},
    architectures={
        "BertModel": {"head": None},
        "BertForMaskedLM": {"head": "masked_language_model"},
        "BertForPreTraining": {"head": "masked_language_model"},
        "BertForSequenceClassification": {"head": "classification"},
    },
    classes=("BertForSequenceClassification",),
    tied=("BertForMaskedLM", "BertForPreTraining"),
)
_VIT = Format(
    name="vit_b16",
    fields={
        **_ENCODER,
        "patch_size": ("patch_size", 16),
        "hidden_dropout_prob": ("dropout_rate", 0.0),
        "attention_probs_dropout_prob": ("attention_dropout_rate", 0.0),
    },
    activation=("hidden_act", "gelu"),
    fixed={"qkv_bias": True},
    architectures={"ViTForImageClassification": {}, "ViTModel": {"num_classes": 0}},
    classes=("ViTForImageClassification",),
)
_LLAMA = Format(
    name="llama2_7b",
    fields={
        "vocab_size": ("vocab_size", 32_000),
        "max_position_embeddings": ("context_length", 2048),
        "hidden_size": ("d_model", 4096),
        "num_hidden_layers": ("num_layers", 32),
        "num_attention_heads": ("num_heads", 32),
        "num_key_value_heads": ("num_kv_heads", None),
        "head_dim": ("head_dim", None),
        "intermediate_size": ("mlp_dim", 11_008),
        "rope_theta": ("rope_base", 10_000.0),
        "attention_dropout": ("attention_dropout_rate", 0.0),
        "rms_norm_eps": ("epsilon", 1e-6),
    },
    activation=("hidden_act", "silu"),
    fixed={},
    architectures={"LlamaForCausalLM": {}},
    flags={
        "tie_word_embeddings": ("tied", False),
        "attention_bias": ("attention_bias", False),
        "mlp_bias": ("mlp_bias", False),
    },
    rotary=True,
)
FORMATS = {"gpt2": _GPT2, "bert": _BERT, "vit": _VIT, "llama": _LLAMA}
"""By the setting ``model_type``."""
ALWAYS_FIXED = {"pruned_heads": {}, "quantization_config": None, "is_encoder_decoder": False}


@dataclass(frozen=True)
class Description:
    """A model of ours that computes what the settings say.

    Attributes:
        path: the file of the settings.
        name: a registered model of the family.
        fields: the fields of that model.
        names: the name of the setting of each field.
        input_shape: of one example; None where the fields determine it.
    """

    path: Path
    name: str
    fields: Mapping[str, Any]
    names: Mapping[str, str] = field(default_factory=dict)
    input_shape: tuple[int, ...] | None = None

    def check(self, model: linen.Module) -> None:
        """Check that a model agrees with the settings in all that the shapes of weights do not show.

        Raises:
            ValueError: it differs; the error gives the fields.
        """
        differing = [
            f"{name}={self.fields[name]!r} for {self.names[name]}, got {getattr(model, name)!r}"
            for name in WITHOUT_SHAPE
            if name in self.fields and getattr(model, name, None) != self.fields[name]
        ]
        if differing:
            raise ValueError(f"{self.path}: expected {'; expected '.join(differing)}; give these fields")


def find(weights: Path) -> Path | None:
    """Return the settings in a folder or beside a file of weights, if there are any."""
    path = (weights if weights.is_dir() else weights.parent) / FILE
    return path if path.exists() else None


def describe(path: Path) -> Description:
    """Read settings and describe our model for them.

    Raises:
        ValueError: they are damaged, of a model that is none of ours, or with a setting that ours does not compute.
    """
    try:
        config = json.loads(read_plain_text(path))
        if not isinstance(config, dict):
            raise ValueError(f"expected an object, got a {type(config).__name__}")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no configuration of a model: {shorten(error)}") from error
    return describe_settings(path, config)


def describe_settings(path: Path, config: Mapping[str, Any]) -> Description:
    """Describe our model for settings that were read from a file; errors as for `describe`."""
    form = FORMATS.get(str(config.get("model_type")))
    if form is None:
        kinds = ", ".join(FORMATS)
        raise ValueError(f"{path}: expected a model_type of {kinds}, got {shorten(repr(config.get('model_type')))}")
    try:
        return _describe(path, config, form)
    except (TypeError, LookupError) as error:  # of settings of another type
        raise ValueError(f"{path} is no configuration of a model: {shorten(error)}") from error


def _describe(path: Path, config: Mapping[str, Any], form: Format) -> Description:
    architecture = (config.get("architectures") or [next(iter(form.architectures))])[0]
    config = _settings_of_rotation(path, config) if form.rotary else config
    _check_settings(path, config, form, architecture)
    fields, names = dict(form.architectures[architecture]), {}
    for setting, (name, default) in form.fields.items():
        fields[name], names[name] = _number(path, setting, config.get(setting, default), default), setting
    for setting, (name, default) in form.flags.items():
        fields[name], names[name] = _flag(path, setting, config.get(setting, default)), setting
    names["activation"] = form.activation[0]
    fields["activation"] = ACTIVATIONS[config.get(*form.activation)]
    if architecture in form.classes:
        labels = config.get("id2label")
        fields["num_classes"] = len(labels) if labels else _number(path, "num_labels", config.get("num_labels", 2), 2)
    return Description(path, form.name, fields, names, _image_shape(path, config) if form is _VIT else None)


def _check_settings(path: Path, config: Mapping[str, Any], form: Format, architecture: str) -> None:
    """Check all settings that have to have one value, and list those that have another."""
    expected = {**ALWAYS_FIXED, **form.fixed, **({"tie_word_embeddings": True} if architecture in form.tied else {})}
    problems = [
        f"{setting}={value!r}, got {shorten(repr(config[setting]))}"
        for setting, value in expected.items()
        if setting in config and (config[setting] or None) != (value or None)
    ]
    if architecture not in form.architectures:
        problems.append(f"an architecture of {', '.join(form.architectures)}, got {shorten(repr(architecture))}")
    if config.get(*form.activation) not in ACTIVATIONS:
        got = shorten(repr(config.get(*form.activation)))
        problems.append(f"{form.activation[0]} of {', '.join(ACTIVATIONS)}, got {got}")
    if problems:
        raise ValueError(f"{path}: expected {'; expected '.join(problems)}; our model computes nothing else")


def _number(path: Path, setting: str, value: Any, default: Any) -> Any:
    """Return a number, of a patch also one of two equal ones."""
    if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
        value = value[0]
    if value is None and default is None:
        return None
    real = isinstance(default, float)
    if isinstance(value, bool) or not isinstance(value, int | float if real else int) or not 0 <= value < 2**31:
        raise ValueError(f"{path}: expected {setting} to be a number, got {shorten(repr(value))}")
    return float(value) if real else value


def _flag(path: Path, setting: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{path}: expected {setting} to be true or false, got {shorten(repr(value))}")
    return value


def _settings_of_rotation(path: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with the base of rotary positions by its older name, ``rope_theta``.

    Raises:
        ValueError: the positions are scaled, to extend the context.
    """
    rope = {**(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        raise ValueError(
            f"{path}: expected rope_type='default', positions that are not scaled, got {shorten(repr(kind))}"
        )
    return {**config, "rope_theta": rope.get("rope_theta", config.get("rope_theta", 10_000.0))}


def _image_shape(path: Path, config: Mapping[str, Any]) -> tuple[int, ...]:
    size = config.get("image_size", 224)
    height, width = size if isinstance(size, list) and len(size) == 2 else (size, size)
    channels = config.get("num_channels", 3)
    return tuple(_number(path, "image_size and num_channels", n, 1) for n in (height, width, channels))
