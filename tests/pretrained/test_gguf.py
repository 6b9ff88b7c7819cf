"""GGUF files: a tiny one written by their own library, read as transformers reads it."""

import importlib

import jax
import numpy as np
import pytest

from jaxdl import models, pretrained
from tests.peers import torch, transformers
from tests.variables import draw

FIELDS = {
    "vocab_size": 8,
    "context_length": 9,
    "d_model": 32,
    "num_layers": 1,
    "num_heads": 4,
    "num_kv_heads": 2,
    "mlp_dim": 64,
    "rope_base": 30.0,
    "epsilon": 1e-3,
    "tied": True,
}
TOKENS = np.random.default_rng(0).integers(0, 8, (2, 5))
WORDS = ["a", "b", "c", "ab", "abc", "1", "2", "<end>"]


@pytest.fixture
def library():
    return pytest.importorskip("gguf", reason="gguf writes the file")


@pytest.fixture
def model():
    return models.create("llama_tiny", **FIELDS)


@pytest.fixture
def variables(model):
    return draw(model.init, jax.random.key(0), np.zeros((1, 3), np.int32))


def write(library, path, variables, kind="llama", **settings):
    writer = library.GGUFWriter(path, kind)
    writer.add_block_count(1)
    writer.add_context_length(9)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-3)
    writer.add_rope_freq_base(30.0)
    writer.add_vocab_size(8)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(settings.get("split", "smollm"))
    writer.add_token_list(WORDS)
    writer.add_token_types([1] * 7 + [3])
    writer.add_token_merges(["a b", "ab c"])
    writer.add_bos_token_id(7)
    writer.add_eos_token_id(7)
    if "scaling" in settings:
        writer.add_string(f"{kind}.rope.scaling.type", settings["scaling"])
    if "scale_linear" in settings:
        writer.add_float32(f"{kind}.rope.scale_linear", settings["scale_linear"])
    if "rotated" in settings:
        writer.add_rope_dimension_count(settings["rotated"])
    quantized = library.GGMLQuantizationType.Q8_0
    for name, array in pretrained.export("llama_tiny", variables, "gguf", **FIELDS).items():
        if array.ndim == 2:
            writer.add_tensor(name, library.quants.quantize(array, quantized), raw_dtype=quantized)
        else:
            writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_file_gives_the_model_with_the_logits_of_transformers(library, model, variables, tmp_path):
    path = write(library, tmp_path / "tiny.gguf", variables)
    found, loaded = pretrained.load_gguf(path)
    assert found == model.clone(head_dim=None)
    # 8 bits: half of a step, a 127th of the largest number of a block, which is itself rounded to 16 bits.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=np.abs(b).max() / 220), loaded, variables)
    entries = pretrained.read_gguf(path)
    assert (entries["blk.0.attn_norm.weight"] == loaded["params"]["decoder_block1"]["norm1"]["scale"]).all()
    again = pretrained.export("llama_tiny", loaded, "gguf", **FIELDS)
    assert all((again[name] == entries[name]).all() for name in again.keys() | entries.keys())
    peers = transformers()
    peer = peers.LlamaForCausalLM(
        peers.LlamaConfig(
            vocab_size=8,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=4,
            num_key_value_heads=2,
            rms_norm_eps=1e-3,
            rope_parameters={"rope_type": "default", "rope_theta": 30.0},
            tie_word_embeddings=True,
        )
    )
    reading = importlib.import_module("transformers.modeling_gguf_pytorch_utils")
    tensors = reading.load_gguf_checkpoint(path, return_tensors=True, model_to_load=peer)["tensors"]
    assert peer.load_state_dict(tensors, strict=False).missing_keys in ([], ["lm_head.weight"])
    expected = peer(torch().tensor(TOKENS)).logits.detach().numpy()
    np.testing.assert_allclose(jax.jit(model.apply)(loaded, TOKENS), expected, rtol=1e-4, atol=1e-5)


def test_the_tokenizer_of_a_file_joins_byte_pairs_and_splits_digits(library, variables, tmp_path):
    pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    tokenizer = pretrained.gguf_tokenizer(write(library, tmp_path / "tiny.gguf", variables))
    assert tokenizer.encode("abcab12<end>").ids == [4, 3, 5, 6, 7]
    assert tokenizer.decode([4, 3, 7]) == "abcab"
    with pytest.raises(ValueError, match="got 'gpt2' split as 'llama3'"):
        pretrained.gguf_tokenizer(write(library, tmp_path / "other.gguf", variables, split="llama3"))


def test_other_models_scaled_positions_and_damaged_files_are_refused(library, variables, tmp_path):
    path = write(library, tmp_path / "tiny.gguf", variables, scaling="yarn")
    with pytest.raises(ValueError, match="got 'yarn'"):
        pretrained.load_gguf(path)
    with pytest.raises(ValueError, match="got 'qwen2'"):
        pretrained.load_gguf(write(library, tmp_path / "qwen.gguf", variables, kind="qwen2"))
    with pytest.raises(ValueError, match="load_gguf"):
        pretrained.read(path)
    (tmp_path / "half.gguf").write_bytes(path.read_bytes()[:400])
    with pytest.raises(ValueError, match=r"half\.gguf is a damaged GGUF file"):
        pretrained.load_gguf(tmp_path / "half.gguf")
    (tmp_path / "text.gguf").write_text("no weights")
    with pytest.raises(ValueError, match="starts with b'no w'"):
        pretrained.load_gguf(tmp_path / "text.gguf")
    with pytest.raises(FileNotFoundError):
        pretrained.load_gguf(tmp_path / "none.gguf")


@pytest.mark.parametrize(
    ("settings", "message"), [({"scale_linear": 4.0}, "'linear'"), ({"rotated": 4}, "expected 8 rotated dimensions")]
)
def test_positions_that_are_rotated_otherwise_are_refused(settings, message, library, variables, tmp_path):
    path = write(library, tmp_path / "tiny.gguf", variables, **settings)
    with pytest.raises(ValueError, match=message):
        pretrained.load_gguf(path)
    found, _ = pretrained.load_gguf(write(library, tmp_path / "all.gguf", variables, rotated=8, scale_linear=1.0))
    assert found.num_heads == 4
