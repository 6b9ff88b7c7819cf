import errno

import pytest

from jaxdl.data.files.opening import open_regular


@pytest.mark.parametrize("absolute", [False, True])
def test_a_missing_file_is_named_with_the_folder_where_relative_paths_start(tmp_path, monkeypatch, absolute):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "missing.pt" if absolute else "missing.pt"
    with pytest.raises(
        FileNotFoundError, match=f"nothing at {path}; {'give' if absolute else '.*' + tmp_path.name}"
    ) as e:
        open_regular(path)
    assert e.value.errno == errno.ENOENT
