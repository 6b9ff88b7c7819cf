"""Folders of transformers: their settings decide about the model, and what ours does not compute is refused."""

import json

import jax
import numpy as np
import pytest

from jaxdl import models, pretrained
from tests.models.parity import randomize
from tests.peers import torch, transformers

TOKENS = np.random.default_rng(0).integers(0, 7, (2, 5))
IMAGES = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
SIZES = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
GPT2 = {"vocab_size": 7, "n_positions": 9, "n_embd": 8, "n_layer": 1, "n_head": 2, "bos_token_id": 0, "eos_token_id": 0}
GPT = {"vocab_size": 7, "d_model": 8, "num_layers": 1, "num_heads": 2}


def assert_same_output(model, variables, x, expected):
    ours = jax.jit(model.apply)(variables, x)
    np.testing.assert_allclose(ours, expected.detach().numpy(), rtol=1e-4, atol=1e-5)


def assert_same(variables, others):
    jax.tree.map(np.testing.assert_array_equal, variables, others)


def edit(folder, **settings):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | settings))


def test_a_gpt_is_made_from_its_folder_with_all_that_changes_its_output(tmp_path):
    library = transformers()
    config = library.GPT2Config(**GPT2, activation_function="relu", layer_norm_epsilon=0.1)
    peer = randomize(library.GPT2LMHeadModel(config)).float().eval()
    peer.save_pretrained(tmp_path)
    model, variables = pretrained.load_folder(tmp_path, dropout_rate=0.0)
    assert (model.activation, model.epsilon, model.context_length, model.dropout_rate) == ("relu", 0.1, 9, 0.0)
    assert_same_output(model, variables, TOKENS, peer(torch().tensor(TOKENS)).logits)

    fields = GPT | {"context_length": 9, "activation": "relu", "epsilon": 0.1}
    for place in (tmp_path, tmp_path / "model.safetensors"):
        assert_same(pretrained.load("gpt2", place, "huggingface", **fields), variables)
        with pytest.raises(ValueError, match=r"activation='relu' for activation_function, got 'gelu_tanh'"):
            pretrained.load("gpt2", place, "huggingface", **fields | {"activation": "gelu_tanh"})
        with pytest.raises(ValueError, match=r"epsilon=0.1 for layer_norm_epsilon, got 1e-05"):
            pretrained.load("gpt2", place, "huggingface", **fields | {"epsilon": 1e-5})
        with pytest.raises(ValueError, match=r"num_heads=2 for n_head, got 4"):
            pretrained.load("gpt2", place, "huggingface", **fields | {"num_heads": 4})


def test_the_head_of_a_gpt_is_tied_or_refused_and_exported(tmp_path):
    library = transformers()
    peer = library.GPT2LMHeadModel(library.GPT2Config(**GPT2))
    state = peer.state_dict()
    variables = pretrained.load("gpt2", state, "huggingface", **GPT, context_length=9)
    assert not peer.load_state_dict(
        {name: torch().tensor(a) for name, a in exported("gpt2", variables, context_length=9, **GPT).items()}
    ).missing_keys
    head = {name: array for name, array in state.items() if name != "transformer.wte.weight"}
    assert_same(pretrained.load("gpt2", head, "huggingface", **GPT, context_length=9), variables)
    untied = state | {"lm_head.weight": state["lm_head.weight"] + 1}
    with pytest.raises(ValueError, match=r"untied: lm_head.weight \[7, 8\] differs from transformer.wte.weight"):
        pretrained.load("gpt2", untied, "huggingface", **GPT, context_length=9)
    short = pretrained.load("gpt2", state, "huggingface", **GPT, context_length=4)
    np.testing.assert_array_equal(short["params"]["positions"], variables["params"]["positions"][:4])
    again = pretrained.load(
        "gpt2", exported("gpt2", short, context_length=4, **GPT), "huggingface", context_length=4, **GPT
    )
    assert_same(again, short)
    with pytest.raises(ValueError, match=r"misshaped: transformer.wpe.weight \[9, 8\], for params/positions \[12, 8\]"):
        pretrained.load("gpt2", state, "huggingface", **GPT, context_length=12)


def exported(name, variables, source="huggingface", **fields):
    return pretrained.export(name, variables, source, **fields)


def test_the_settings_of_a_bert_decide_about_its_head(tmp_path):
    library = transformers()
    config = library.BertConfig(vocab_size=7, max_position_embeddings=6, hidden_act="gelu_new", num_labels=3, **SIZES)
    x = torch().tensor(TOKENS)
    for kind, output in (("BertForMaskedLM", "logits"), ("BertForSequenceClassification", "logits")):
        peer = randomize(getattr(library, kind)(config)).float().eval()
        peer.save_pretrained(tmp_path)
        model, variables = pretrained.load_folder(tmp_path)
        assert_same_output(model, variables, TOKENS, peer(x)[output])
        fields = {
            name: getattr(model, name) for name in ("head", "num_classes", "vocab_size", "context_length", "d_model")
        }
        fields |= {"num_layers": 1, "num_heads": 2, "mlp_dim": 16}
        entries = exported("bert_base", variables, **fields)
        peer.load_state_dict({name: torch().tensor(array) for name, array in entries.items()})
    edit(tmp_path, architectures=["BertModel"])
    assert pretrained.load_folder(tmp_path)[0].head is None
    edit(tmp_path, architectures=["BertForMaskedLM"])
    with pytest.raises(ValueError, match=r"missing: cls.predictions.bias"):
        pretrained.load_folder(tmp_path)


def test_a_vision_transformer_is_made_from_its_folder(tmp_path):
    library = transformers()
    config = library.ViTConfig(image_size=8, patch_size=4, num_labels=3, layer_norm_eps=0.1, **SIZES)
    peer = randomize(library.ViTForImageClassification(config)).float().eval()
    peer.save_pretrained(tmp_path)
    model, variables = pretrained.load_folder(tmp_path)
    assert (model.epsilon, model.num_classes) == (0.1, 3)
    assert_same_output(model, variables, IMAGES, peer(torch().tensor(IMAGES).movedim(-1, 1)).logits)

    fields = {"num_classes": 3, "patch_size": 4, "d_model": 8, "num_layers": 1, "num_heads": 2, "mlp_dim": 16}
    small = fields | {"input_shape": (8, 8, 3)}
    with pytest.raises(ValueError, match="expected the field epsilon"):
        pretrained.load("vit_b16", peer.state_dict(), "huggingface", **small)
    loaded = pretrained.load(
        "vit_b16", peer.state_dict(), "huggingface", epsilon=0.1, **small
    )  # names of transformers 5
    assert_same(loaded, variables)
    entries = exported("vit_b16", variables, "huggingface_5", **fields)
    peer.load_state_dict({name: torch().tensor(array) for name, array in entries.items()})
    again = pretrained.load("vit_b16", exported("vit_b16", variables, **fields), "huggingface", epsilon=0.1, **small)
    assert_same(again, variables)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale_attn_weights": False}, "scale_attn_weights=True, got False"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx=False, got True"),
        ({"add_cross_attention": True}, "add_cross_attention=False, got True"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings=True, got False"),
        ({"quantization_config": {"bits": 4}}, "quantization_config=None, got"),
        ({"activation_function": "mish"}, "activation_function of .*, got 'mish'"),
        ({"architectures": ["GPT2ForTokenClassification"]}, "got 'GPT2ForTokenClassification'"),
        ({"model_type": "qwen2"}, "model_type of gpt2, bert, vit, llama, got 'qwen2'"),
        ({"layer_norm_epsilon": float("nan")}, "layer_norm_epsilon to be a number, got nan"),
        ({"architectures": [{}]}, "is no configuration of a model"),
        ({"activation_function": ["gelu"]}, "is no configuration of a model"),
        ({"n_head": "12"}, "n_head to be a number, got '12'"),
        ({"model_type": "bert", "is_decoder": True, "architectures": ["BertModel"]}, "is_decoder=False, got True"),
        (
            {"model_type": "bert", "position_embedding_type": "relative_key", "architectures": ["BertModel"]},
            "position_embedding_type='absolute', got 'relative_key'",
        ),
        ({"model_type": "vit", "qkv_bias": False, "architectures": ["ViTModel"]}, "qkv_bias=True, got False"),
    ],
)
def test_settings_that_the_model_does_not_compute_are_refused(tmp_path, settings, message):
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]} | settings
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message):
        pretrained.load_folder(tmp_path)


def test_damaged_settings_and_missing_files_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a folder with config\.json"):
        pretrained.load_folder(tmp_path)
    for content in ("[1]", "{", "[" * 100_000):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(ValueError, match=r"config.json is no configuration"):
            pretrained.load_folder(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "gpt2", "n_layer": 1000000000}')
    with pytest.raises(FileNotFoundError, match="got none"):
        pretrained.load_folder(tmp_path)
    pretrained.save(tmp_path / "model.safetensors", {"a": np.zeros(1, np.float32)})
    with pytest.raises(ValueError, match="at most 1 layers, one for each weight, got 1000000000"):
        pretrained.load_folder(tmp_path)


def test_files_of_an_index_are_joined(tmp_path):
    whole = {f"layer.{n}": np.full(3, n, np.float32) for n in range(4)}
    names = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    for n, name in enumerate(names):
        pretrained.save(tmp_path / name, dict(list(whole.items())[2 * n : 2 * n + 2]))
    index = {name: names[n // 2] for n, name in enumerate(whole)}
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": index}))
    for place in (tmp_path, path):
        assert_same(pretrained.read(place), whole)
    for wrong, message in (
        ({"a": "../b"}, "beside it"),
        ({"layer.3": names[0]}, "expected layer.3 in"),
        ([], "no index"),
    ):
        path.write_text(json.dumps({"weight_map": wrong}))
        with pytest.raises(ValueError, match=message):
            pretrained.read(tmp_path)


@pytest.mark.parametrize(
    ("name", "source", "field"),
    [
        ("googlenet", "torchvision", "transform_input"),
        ("inception_v3", "torchvision", "transform_input"),
        ("resnet20", "torchvision", "shortcut"),
    ],
)
def test_what_no_weight_shows_has_to_be_given(name, source, field):
    with pytest.raises(ValueError, match=f"expected the field {field}"):
        pretrained.load(name, {}, source)


def test_weights_of_the_other_padding_load_by_their_names_and_shortcut():
    fields = {"depths": (1, 1), "widths": (2, 4), "shortcut": "padding_both_sides"}
    model = models.create("resnet20", **fields)
    variables = jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), pretrained.template(model, (32, 32, 3)))
    entries = pretrained.export("resnet20", variables, "resnet_cifar10", **fields)
    assert "linear.weight" in entries
    wrapped = {f"module.{name}": array for name, array in entries.items()}
    loaded = pretrained.load("resnet20", wrapped, "resnet_cifar10", prefix="module.", **fields)
    assert_same(loaded, variables)
    with pytest.raises(ValueError, match="padding_both_sides' for these weights, got 'padding'"):
        pretrained.load("resnet20", {}, "resnet_cifar10", **fields | {"shortcut": "padding"})
