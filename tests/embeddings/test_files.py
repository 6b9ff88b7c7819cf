"""Files of word vectors: gensim in both directions, and files that are damaged or hostile."""

import gzip
import os

import numpy as np
import pytest

from jaxdl import embeddings
from jaxdl.embeddings import Vectors
from jaxdl.embeddings.files import FORMATS

VECTORS = Vectors(
    ["the", "naïve", "\xa0", "日本", "don't", "12"],
    np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32) * np.float32([1, 1e-9, 1e9]),
)
BINARY = {"word2vec": False, "word2vec_binary": True}


def keyed_vectors():
    return pytest.importorskip("gensim.models", reason="parity with gensim").KeyedVectors


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("format", ["word2vec", "word2vec_binary", "glove"])
def test_gensim_reads_our_files(format, tmp_path):
    path = tmp_path / "vectors"
    embeddings.save(VECTORS, path, format)
    read = keyed_vectors().load_word2vec_format(
        str(path), binary=format == "word2vec_binary", no_header=format == "glove"
    )
    assert read.index_to_key == VECTORS.words
    np.testing.assert_array_equal(read.vectors, VECTORS.vectors)
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("format", ["word2vec", "word2vec_binary", "glove"])
def test_we_read_files_of_gensim(format, tmp_path):
    theirs = keyed_vectors()(3)
    theirs.add_vectors(VECTORS.words, VECTORS.vectors)
    path = str(tmp_path / "vectors")
    theirs.save_word2vec_format(path, binary=format == "word2vec_binary", write_header=format != "glove")
    for given in (None, format):
        read = embeddings.load(path, given)
        assert read.words == VECTORS.words
        np.testing.assert_array_equal(read.vectors, VECTORS.vectors)
    assert embeddings.load(path, limit=2).words == VECTORS.words[:2]
    assert read.similarity("the", "12") == pytest.approx(theirs.similarity("the", "12"), rel=1e-6)
    ours, peers = read.most_similar("日本", 3), theirs.most_similar("日本", topn=3)
    assert [word for word, _ in ours] == [word for word, _ in peers]
    np.testing.assert_allclose([x for _, x in ours], [x for _, x in peers], rtol=1e-5)


def test_files_of_other_programs_are_read(tmp_path):
    """word2vec.c writes a line end behind every binary vector, and a space behind every number of a text."""
    path = tmp_path / "vectors"
    body = b"".join(b"%s " % w.encode() + v.tobytes() + b"\n" for w, v in zip("ab", VECTORS.vectors[:2], strict=True))
    path.write_bytes(b"2 3\n" + body)
    np.testing.assert_array_equal(embeddings.load(path).vectors, VECTORS.vectors[:2])
    path.write_bytes(b"2 2\r\na 1 2 \r\nb 3 4 \r\n")
    assert embeddings.load(path).vectors.tolist() == [[1, 2], [3, 4]]
    path.write_bytes(b"a 1 2\n. . . 3 4\n")  # a word with spaces, as in GloVe's vectors of Common Crawl
    assert embeddings.load(path).words == ["a", ". . ."]


def test_compressed_and_mapped_files(tmp_path):
    embeddings.save(VECTORS, tmp_path / "v.bin.gz", "word2vec_binary")
    np.testing.assert_array_equal(embeddings.load(tmp_path / "v.bin.gz").vectors, VECTORS.vectors)
    half = Vectors(VECTORS.words, np.full((6, 3), 0.5, np.float16))
    embeddings.save(half, tmp_path / "v.npy", "npy")
    mapped = embeddings.load(tmp_path / "v.npy")
    assert isinstance(mapped.vectors, np.memmap)
    assert mapped.vectors.dtype == np.float16
    assert mapped.words == VECTORS.words
    assert mapped.similarity("the", "12") == pytest.approx(1, rel=1e-3)
    assert len(embeddings.load(tmp_path / "v.npy", limit=4)) == 4


@pytest.mark.parametrize("format", ["word2vec", "word2vec_binary", "npy"])
def test_an_empty_vocabulary(format, tmp_path):
    path = tmp_path / ("v.npy" if format == "npy" else "v")
    embeddings.save(Vectors([], np.zeros((0, 3))), path, format)
    assert embeddings.load(path).vectors.shape == (0, 3)


@pytest.mark.parametrize(
    ("content", "format", "got"),
    [
        (b"-2 3\na 1 2 3\n", None, "got -2 and 3"),
        (b"2 -3\na 1 2 3\n", "word2vec", "got 2 and -3"),
        (b"99999999999999 300\na 1 2\n", None, "got at most 25"),
        (b"99999999999999 300\na 1 2\n", "word2vec", "got at most 25"),
        (b"7 9999999999999\n", "word2vec_binary", "got at most 16"),
        (b"1 2\n\xff\xfe 1 2\n", None, "line 2: expected valid UTF-8"),
        (b"1 2\n\xff\xfe " + bytes(8), "word2vec_binary", "word 1: expected valid UTF-8"),
        (b"2 2\na 1 2\na 3 4\n", None, "got 'a' twice"),
        (b"a 1 2\na 3 4\n", None, "got 'a' twice"),
        (b"2 2\na 1 2\n       \n", "word2vec", "line 3: expected a word and 2 numbers"),
        (b"2 2\na 1 2\n      ", "word2vec", "line 3"),
        (b"1 2\na 1 2\nb 3 4\n", None, "got 1 and more"),
        (b"2 1\na 1\nbbbbbb", None, "line 3"),
        (b"2 2\na 1 2\nb 3 x\n", None, "line 3"),
        (b"2 2\na 1 2\nb 3 4 5\n", None, "line 3"),
        (b"2 2\na 1 2\nb 3\n   ", None, "line 3"),
        (b"a 1 2\nb 3\n", None, "line 2"),
        (b"a\n", None, "line 1"),
        (b"", None, "empty file"),
        (b"", "word2vec_binary", "got b''"),
        (b"one two\n", "word2vec", "got b'one two"),
        (b"2 2\na " + bytes(8) + b"b " + bytes(4) + b"\n\n", "word2vec_binary", "got 1"),
        (b"1 2\na " + bytes(8) + b"more", "word2vec_binary", "more bytes"),
        (b"1 1\n" + bytes(10**5), "word2vec_binary", "expected a space"),
        (b"1 2\n " + bytes(8), "word2vec_binary", "expected a word, got none"),
    ],
)
def test_damaged_files_are_errors(content, format, got, tmp_path):
    path = tmp_path / "vectors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=got) as error:
        embeddings.load(path, format)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("format", [*FORMATS, None])
def test_only_regular_files_are_read(format, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="regular file, got a pipe"):
        embeddings.load(tmp_path / "pipe", format)
    with pytest.raises(ValueError, match="regular file, got a folder"):
        embeddings.load(tmp_path, format)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x03\x04", b"\x80\x04}."])
def test_a_damaged_matrix_is_an_error(content, tmp_path):
    path = tmp_path / "v.npy"
    embeddings.save(VECTORS, path, "npy")
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"v\.npy: expected a matrix"):
        embeddings.load(path)


def test_truncated_and_bombed_archives_are_errors(tmp_path):
    path = tmp_path / "v.txt.gz"
    whole = gzip.compress(b"2 2\na 1 2\nb 3 4\n")
    path.write_bytes(whole[:-8] + bytes(8))  # another checksum
    with pytest.raises(ValueError, match="damaged"):
        embeddings.load(path)
    path.write_bytes(gzip.compress(b"2 2\na 1 2\nb 3 4\n")[:-9])
    with pytest.raises(ValueError, match="damaged"):
        embeddings.load(path)
    path.write_bytes(gzip.compress(b"999999999999 300\n"))
    with pytest.raises(ValueError, match="bytes"):
        embeddings.load(path)


def test_invalid_utf8_is_replaced_on_request(tmp_path):
    path = tmp_path / "vectors"
    path.write_bytes(b"1 2\n\xffa 1 2\n")
    assert embeddings.load(path, errors="replace").words == ["�a"]


@pytest.mark.parametrize("word", ["", "a b", "a\nb", "\ud800"])
def test_words_that_no_format_holds_are_errors(word, tmp_path):
    with pytest.raises(ValueError, match="got"):
        embeddings.save(Vectors([word], np.ones((1, 2))), tmp_path / "v")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "shape", "error", "got"),
    [
        (["a", "a"], (2, 3), ValueError, "'a' twice"),
        (["a"], (2, 3), ValueError, r"\(2, 3\)"),
        (["a"], (1,), ValueError, r"\(1,\)"),
        ("ab", (2, 3), TypeError, "'ab'"),
        ([1], (1, 3), TypeError, r"\[1\]"),
    ],
)
def test_words_and_vectors_are_checked(words, shape, error, got):
    with pytest.raises(error, match=f"got (shape )?{got}"):
        Vectors(words, np.ones(shape))


def test_unknown_words_and_zero_vectors():
    vectors = Vectors(["a", "b", "zero"], np.array([[3, 0], [1, 1], [0, 0]]))
    assert vectors.similarity("a", "zero") == 0
    assert vectors.most_similar("a", 5) == [("b", pytest.approx(0.5**0.5)), ("zero", 0.0)]
    assert vectors.most_similar(np.array([0.0, 2.0]), 1)[0][0] == "b"
    with pytest.raises(KeyError, match="'c'"):
        vectors.similarity("a", "c")
    with pytest.raises(ValueError, match="got 0"):
        vectors.most_similar("a", 0)
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        vectors.most_similar(np.ones(3))
    with pytest.raises(FileNotFoundError):
        embeddings.load("no/such/file")


@pytest.mark.parametrize("format", [None, "glove", "word2vec"])
def test_a_byte_order_mark_belongs_to_no_word(format, tmp_path):
    header = b"" if format == "glove" else b"2 3\n"
    (tmp_path / "vectors.txt").write_bytes(b"\xef\xbb\xbf" + header + "das 1 2 3\nGr\u00fc\u00dfe 4 5 6\n".encode())
    found = embeddings.load(tmp_path / "vectors.txt", format)
    assert found.words == ["das", "Gr\u00fc\u00dfe"]
    assert found.vectors.tolist() == [[1, 2, 3], [4, 5, 6]]
