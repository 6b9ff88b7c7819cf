"""Archives: valid ones are extracted, malicious and damaged ones are rejected before anything is written."""

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

from jaxdl.data.files import archive

CONTENT = {"top/a.txt": b"alpha", "top/deep/b.bin": bytes(range(256)) * 20, "c": b""}
MODES = {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}


def tar_info(name, content=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def write_tar(path, members, mode="w", form=tarfile.PAX_FORMAT):
    with tarfile.open(path, mode, format=form) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return path


def write_zip(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as packed:
        for name, content, mode in members:
            info = zipfile.ZipInfo("x")
            info.filename = name  # the constructor would normalize the name
            info.external_attr = mode << 16
            info.compress_type = method
            packed.writestr(info, content)
    return path


def zipped(name, content=b"x", mode=0):
    return lambda path: write_zip(path, [("fine", b"x", 0), (name, content, mode)])


def tarred(*args, form=tarfile.PAX_FORMAT, **fields):
    return lambda path: write_tar(path, [tar_info("fine", b"x"), tar_info(*args, **fields)], form=form)


def all_names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("kind", [*MODES, "zip"])
def test_a_valid_archive_is_extracted(tmp_path, kind):
    packed = tmp_path / f"valid.{kind}"
    if kind == "zip":
        write_zip(packed, [(name, content, 0o100644) for name, content in CONTENT.items()])
    else:
        members = [tar_info("top", type=tarfile.DIRTYPE), *(tar_info(*item) for item in CONTENT.items())]
        write_tar(packed, members, MODES[kind])
    files = archive.extract(packed, tmp_path / "new" / "out")
    found = {str(path.relative_to(tmp_path / "new" / "out")): path.read_bytes() for path in files}
    assert found == CONTENT
    assert all_names(tmp_path / "new")[0] == "out"
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_an_archive_of_the_folder_itself_is_extracted(tmp_path):
    members = [tar_info(".", type=tarfile.DIRTYPE), tar_info("./a", b"1"), tar_info("./b", type=tarfile.DIRTYPE)]
    (tmp_path / "out").mkdir()
    archive.extract(write_tar(tmp_path / "dot.tar", members), tmp_path / "out")
    assert all_names(tmp_path / "out") == ["a", "b"]


MALICIOUS = {
    "tar: absolute path": (tarred("/etc/passwd", b"x"), r"'/etc/passwd': absolute path"),
    "tar: parent": (tarred("../evil", b"x"), r"'\.\./evil': path outside"),
    "tar: parent in the middle": (tarred("a/../../evil", b"x"), r"'a/\.\./\.\./evil': path outside"),
    "tar: parent as folder": (tarred("a/..", type=tarfile.DIRTYPE), r"'a/\.\.': path outside"),
    "tar: symbolic link": (tarred("l", type=tarfile.SYMTYPE, linkname="/etc"), "'l': .*got a symbolic link to '/etc'"),
    "tar: inner symbolic link": (tarred("l", type=tarfile.SYMTYPE, linkname="fine"), "'l': .*got a symbolic link"),
    "tar: hard link": (tarred("h", type=tarfile.LNKTYPE, linkname="fine"), "'h': .*got a hard link to 'fine'"),
    "tar: character device": (tarred("d", type=tarfile.CHRTYPE), "'d': .*got a device"),
    "tar: block device": (tarred("d", type=tarfile.BLKTYPE), "'d': .*got a device"),
    "tar: pipe": (tarred("p", type=tarfile.FIFOTYPE), "'p': .*got a pipe"),
    "tar: sparse file": (tarred("s", type=tarfile.GNUTYPE_SPARSE, form=tarfile.GNU_FORMAT), "'s': .*got a sparse file"),
    "tar: unknown type": (tarred("u", type=b"Z"), "'u': .*got a member of unknown type b'Z'"),
    "tar: windows path": (tarred("..\\evil", b"x"), r"evil': backslash or colon"),
    "tar: drive": (tarred("C:evil", b"x"), "'C:evil': backslash or colon"),
    "tar: control character": (tarred("a\nb", b"x"), r"'a\\nb': control characters"),
    "tar: name twice": (tarred("fine", b"y"), "'fine': duplicate name"),
    "tar: name twice but for case": (tarred("./FINE", b"y"), "'./FINE': duplicate name"),
    "tar: file as folder": (tarred("fine/b", b"y"), "'fine/b': 'fine' is a file"),
    "tar: folder over file": (tarred("fine", type=tarfile.DIRTYPE), "'fine': duplicate name"),
    "tar: the root as a file": (tarred(".", b"x"), "'.': duplicate name"),
    "tar: endless name": (tarred("n" * 2000, b"x"), "name longer than 1024"),
    "tar: long name": (tarred("a/" + "ü" * 200, b"x"), "name of a file or folder longer than 255 bytes"),
    "tar: endless depth": (tarred("/".join("d" * 100), b"x"), "path deeper than 64"),
    "zip: absolute path": (zipped("/evil"), "'/evil': absolute path"),
    "zip: parent": (zipped("a/../../evil"), r"evil': path outside"),
    "zip: windows path": (zipped("a\\..\\evil"), r"evil': backslash or colon"),
    "zip: symbolic link": (zipped("l", b"/etc", stat.S_IFLNK | 0o777), "'l': .*got a symbolic link"),
    "zip: device": (zipped("d", b"", stat.S_IFBLK), "'d': .*got a device"),
    "zip: pipe": (zipped("p", b"", stat.S_IFIFO), "'p': .*got a pipe"),
    "zip: name twice but for case": (zipped("Fine"), "'Fine': duplicate name"),
    "zip: method": (
        lambda path: write_zip(path, [("m", b"x", 0)], method=zipfile.ZIP_LZMA),
        "'m': .*got a file compressed by method 14",
    ),
}


@pytest.mark.parametrize("name", MALICIOUS)
def test_a_malicious_member_is_rejected_before_anything_is_written(tmp_path, name):
    write, message = MALICIOUS[name]
    inside = tmp_path / "inside"
    inside.mkdir()
    packed = inside / "packed"
    write(packed)
    with pytest.raises(ValueError, match=message):
        archive.extract(packed, inside / "out")
    assert all_names(tmp_path) == ["inside", "inside/packed"]


def with_size(data, size):
    """Change the size in the first header of a tar archive, and its checksum."""
    head = bytearray(data[:512])
    head[124:136] = b"\x80" + size.to_bytes(11, "big") if size >= 8**11 else f"{size:011o}\0".encode()
    head[148:156] = b" " * 8
    head[148:156] = f"{sum(head):06o}\0 ".encode()
    return bytes(head) + data[512:]


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_huge_size_is_rejected_from_the_header(tmp_path, compress):
    data = write_tar(tmp_path / "small.tar", [tar_info("huge", b"x")]).read_bytes()
    packed = tmp_path / "packed"
    packed.write_bytes(compress(with_size(data, 10**12)))
    with pytest.raises(ValueError, match="at most 4294967296 bytes, got 1000000000000 up to member 'huge'"):
        archive.extract(packed, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("write", ["tar", "zip"])
def test_too_many_or_too_large_members_are_rejected(tmp_path, write):
    packed = tmp_path / "packed"
    if write == "tar":
        write_tar(packed, [tar_info(str(i), b"12345") for i in range(8)])
    else:
        write_zip(packed, [(str(i), b"12345", 0) for i in range(8)])
    with pytest.raises(ValueError, match="at most 5 members, got '5'"):
        archive.extract(packed, tmp_path / "out", max_files=5)
    with pytest.raises(ValueError, match="at most 24 bytes, got 25 up to member '4'"):
        archive.extract(packed, tmp_path / "out", max_bytes=24)
    assert len(archive.extract(packed, tmp_path / "out", max_files=8, max_bytes=40)) == 8


def test_a_bomb_is_not_extracted(tmp_path):
    packed = write_zip(tmp_path / "bomb", [("zeros", bytes(50_000_000), 0)])
    tracemalloc.start()
    with pytest.raises(ValueError, match="got 50000000 up to member 'zeros'"):
        archive.extract(packed, tmp_path / "out", max_bytes=1_000_000)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_a_huge_extended_header_is_rejected(tmp_path):
    data = write_tar(tmp_path / "small.tar", [tar_info("ü" * 200, b"x")]).read_bytes()
    (tmp_path / "packed").write_bytes(gzip.compress(with_size(data, 10**9)))
    with pytest.raises(ValueError, match="damaged archive: a header of 10000"):
        archive.extract(tmp_path / "packed", tmp_path / "out")


def test_a_long_chain_of_extended_headers_is_rejected(tmp_path):
    data = write_tar(tmp_path / "small.tar", [tar_info("ü" * 200, b"x")]).read_bytes()
    (tmp_path / "packed").write_bytes(data[:1024] * 3000 + data)
    with pytest.raises(ValueError, match="damaged archive"):
        archive.extract(tmp_path / "packed", tmp_path / "out")


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize("cut", [100, 700, 1600, 2600])
def test_a_truncated_tar_is_rejected(tmp_path, compress, cut):
    data = write_tar(tmp_path / "whole.tar", [tar_info("a", b"1" * 600), tar_info("b", b"2" * 600)]).read_bytes()
    (tmp_path / "packed").write_bytes(compress(data[:cut]))
    with pytest.raises(ValueError, match="packed: damaged archive"):
        archive.extract(tmp_path / "packed", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_header_in_the_middle_is_not_the_end(tmp_path):
    data = bytearray(write_tar(tmp_path / "whole.tar", [tar_info("a", b"1"), tar_info("b", b"2")]).read_bytes())
    data[1024 + 5] ^= 0xFF
    (tmp_path / "packed").write_bytes(data)
    with pytest.raises(ValueError, match="end of the archive at byte 1024"):
        archive.extract(tmp_path / "packed", tmp_path / "out")


def test_damaged_zip_and_other_files_are_rejected_and_leave_nothing(tmp_path):
    data = bytearray(write_zip(tmp_path / "whole.zip", [("a", bytes(range(256)) * 9, 0)]).read_bytes())
    changed = bytearray(data)
    changed[40] ^= 0xFF
    for content in (data[:-30], changed, b"plain text", b"", gzip.compress(b"no tar")):
        (tmp_path / "packed").write_bytes(content)
        with pytest.raises(ValueError, match="packed: damaged archive"):
            archive.extract(tmp_path / "packed", tmp_path / "out")
    assert all_names(tmp_path) == ["packed", "whole.zip"]


def test_an_encrypted_member_is_rejected(tmp_path):
    data = bytearray(write_zip(tmp_path / "whole.zip", [("a", b"1", 0)]).read_bytes())
    central = data.index(b"PK\x01\x02")
    struct.pack_into("<H", data, central + 8, 1)
    (tmp_path / "packed").write_bytes(data)
    with pytest.raises(ValueError, match=r"'a': .*got an encrypted file"):
        archive.extract(tmp_path / "packed", tmp_path / "out")


def test_a_directory_in_use_is_unchanged(tmp_path):
    packed = write_tar(tmp_path / "packed", [tar_info("a", b"1")])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for target in ("full", "full/mine", "link"):
        with pytest.raises(FileExistsError, match="got"):
            archive.extract(packed, tmp_path / target)
    assert all_names(tmp_path / "full") == ["mine"]
    assert all_names(tmp_path / "elsewhere") == []


COMPRESS = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}


def assert_rejected(tmp_path, content):
    (tmp_path / "packed").write_bytes(content)
    with pytest.raises(ValueError, match="packed: "):
        archive.extract(tmp_path / "packed", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", COMPRESS)
def test_a_compressed_archive_is_read_to_its_checksum(tmp_path, kind):
    members = [tar_info("a", np.random.default_rng(0).bytes(3000)), tar_info("b", bytes(2000))]
    whole = COMPRESS[kind](write_tar(tmp_path / "a.tar", members).read_bytes())
    for cut in (1, 4, 9, 20):
        assert_rejected(tmp_path, whole[:-cut])
    assert_rejected(tmp_path, whole + b"something else")
    generator, accepted, errors = np.random.default_rng(0), [], []
    for position in generator.integers(0, len(whole), 40):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << generator.integers(8)
        (tmp_path / "packed").write_bytes(damaged)
        try:
            files = archive.extract(tmp_path / "packed", tmp_path / f"out{position}")
            accepted.append([path.read_bytes() for path in files])
        except ValueError as error:
            errors.append(str(error))
    assert all(contents == [content for _, content in members] for contents in accepted)  # gzip's header has a date
    assert len(accepted) < 3
    assert all("packed: " in error for error in errors)
    (tmp_path / "packed").write_bytes(whole + bytes(512))
    assert len(archive.extract(tmp_path / "packed", tmp_path / "padded")) == 2


def test_other_data_after_the_end_of_a_tar_is_rejected(tmp_path):
    data = write_tar(tmp_path / "a.tar", [tar_info("a", b"1")]).read_bytes()
    assert_rejected(tmp_path, data + b"x")
    assert_rejected(tmp_path, gzip.compress(data + data))


@pytest.mark.parametrize(
    "header",
    [
        b"1" * 900_000,
        b"11 a=b\n" * 20_000,
        b"".join(b"%d k%06d=v\n" % (13, i) for i in range(60_000)),
        b"999999999 path=x\n",
        b"9 path\n\n\n",
    ],
    ids=["digits", "wrong lengths", "many records", "a long record", "no value"],
)
def test_a_costly_extended_header_is_rejected_at_once(tmp_path, header):
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, len(header)
    data = info.tobuf(tarfile.USTAR_FORMAT) + header + bytes(-len(header) % 512)
    data += write_tar(tmp_path / "a.tar", [tar_info("a", b"1")]).read_bytes()
    started = time.process_time()
    assert_rejected(tmp_path, gzip.compress(data))
    assert time.process_time() - started < 2


def test_member_data_like_an_extended_header_is_no_header(tmp_path):
    content = bytearray(1024)
    content[156] = content[668] = ord("x")
    packed = write_tar(tmp_path / "a.tar", [tar_info("a", bytes(content)), tar_info("ü" * 120, b"2" * 512)])
    assert archive.extract(packed, tmp_path / "out")[0].read_bytes() == content


@pytest.mark.parametrize(
    ("field", "value"), [(28, 500), (30, 500), (32, 500)]
)  # the lengths of name, extra and comment
def test_a_damaged_directory_of_a_zip_hides_no_member(tmp_path, field, value):
    packed = write_zip(tmp_path / "packed", [("a", b"x", 0), ("b", b"y", 0)])
    content = bytearray(packed.read_bytes())
    struct.pack_into("<H", content, content.index(b"PK\x01\x02") + field, value)
    packed.write_bytes(content)
    with pytest.raises(ValueError, match=r"packed: (damaged archive|rejected member)"):
        archive.extract(packed, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_forged_position_in_a_zip_is_damage(tmp_path):
    packed = write_zip(tmp_path / "packed", [("a", b"x", 0)])
    content = bytearray(packed.read_bytes())
    struct.pack_into("<I", content, content.index(b"PK\x05\x06") + 16, 2**31)  # the directory's position
    packed.write_bytes(content)
    with pytest.raises(ValueError, match="packed: damaged archive"):
        archive.extract(packed, tmp_path / "out")
