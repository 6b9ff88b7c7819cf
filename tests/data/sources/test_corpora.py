"""Reviews in folders, and tagged sentences in the formats of CoNLL."""

import pytest

from jaxdl.data.sources.corpora import Review, TaggedSentence, review_folder, tagged_sentences


def write_reviews(root, **files):
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_reviews_are_sorted_by_number(tmp_path):
    write_reviews(
        tmp_path, train__pos__10_9="ten", train__pos__2_7="two", train__neg__0_1="naïve<br />", test__pos__mine="own"
    )
    (tmp_path / "test" / "neg").mkdir()
    with pytest.raises(FileNotFoundError, match="neg, got none"):
        review_folder(tmp_path)
    write_reviews(tmp_path, test__neg__1_2="bad", train__unsup__0_0="unlabelled")
    assert review_folder(tmp_path) == {
        "train": [Review("naïve<br />", 0, 1), Review("two", 1, 7), Review("ten", 1, 9)],
        "test": [Review("bad", 0, 2), Review("own", 1, None)],
    }


def test_missing_folders_and_invalid_text_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="got no folder train or test"):
        review_folder(tmp_path)
    write_reviews(tmp_path, train__pos__0_9="", train__neg__0_1="x")
    (tmp_path / "train" / "neg" / "1_1.txt").write_bytes(b"na\xefve")
    with pytest.raises(ValueError, match=r"1_1\.txt: expected UTF-8"):
        review_folder(tmp_path)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("The\tDT\n#\tNN\n\n\nOh\tUH\n", {}),
        ("\r\nThe\tDT\r\n#\tNN\r\n \r\nOh\tUH", {}),
        ("-DOCSTART- -X- O\n\nThe B-NP DT\n# I-NP NN\n\nOh O UH\n\n", {}),
        (
            "# sent_id = 1\n# newdoc\n1-2\tThe#\t_\t_\n1\tThe\tthe\tDT\n2\t#\tcat\tNN\n2.1\tran\trun\tVB\n\n"
            "# text = Oh\n1\tOh\toh\tUH\n",
            {"token_column": 1, "tag_column": 3},
        ),
        ("# text = The #\n# newdoc\n# a comment of words\nThe DT\n# NN\n\n#sent_id=2\nOh UH\n", {}),
        ("# text = The\t#\nThe\tDT\n#\tNN\n\nOh\tUH\n", {}),
        ("\ufeffThe\tDT\n#\tNN\n\nOh\tUH\n", {}),
    ],
    ids=["tabs", "other line ends", "CoNLL-2003", "CoNLL-U", "comments with spaces", "a comment with a tab", "a mark"],
)
def test_tagged_sentences_are_read_in_every_format(tmp_path, text, columns):
    path = tmp_path / "tagged.txt"
    path.write_bytes(text.encode())
    expected = [TaggedSentence(("The", "#"), ("DT", "NN")), TaggedSentence(("Oh",), ("UH",))]
    assert tagged_sentences(path, **columns) == expected


def test_a_line_without_its_columns_is_an_error(tmp_path):
    path = tmp_path / "tagged.txt"
    path.write_text("a\tX\nb\n")
    with pytest.raises(ValueError, match=r"tagged\.txt, line 2: .*got 'b'"):
        tagged_sentences(path)
    path.write_text("a b\n")
    with pytest.raises(ValueError, match=r"line 1: .*got 2"):
        tagged_sentences(path, tag_column=3)
    path.write_text("a\t\n")
    with pytest.raises(ValueError, match=r"line 1: .*got"):
        tagged_sentences(path)
    path.write_text("\n\n")
    with pytest.raises(ValueError, match="got none"):
        tagged_sentences(path)
    with pytest.raises(FileNotFoundError):
        tagged_sentences(tmp_path / "nothing")
