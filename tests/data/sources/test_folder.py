"""Images in folders: the classes are the folders, in any format, size and colour."""

import numpy as np
import pytest

from jaxdl import data

Image = pytest.importorskip("PIL.Image", reason="what reads images")


def write(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path, **options)


def make(folder, classes=("ant", "bee"), count=5, size=(6, 4)):
    for label, name in enumerate(classes):
        for number in range(count):
            write(folder / name / f"{number}.png", np.full((*size, 3), [label, number, 255]))


def test_a_folder_is_split_by_class(tmp_path):
    make(tmp_path / "insects")
    (tmp_path / "insects" / ".cache").mkdir()
    (tmp_path / "insects" / "ant" / "notes.txt").write_text("no image")
    (tmp_path / "insects" / "ant" / ".0.png").write_bytes(b"hidden")
    dataset = data.load("image_folder", tmp_path / "insects", held_out=0.4)
    assert (dataset.name, dataset.classes) == ("insects", ("ant", "bee"))
    assert dataset.train["image"].shape == (6, 6, 4, 3)
    assert dataset.test["image"].dtype == np.float32
    assert np.bincount(dataset.test["label"]).tolist() == [2, 2]
    for part in (dataset.train, dataset.test):
        np.testing.assert_array_equal(np.round(part["image"][:, 0, 0, 0] * 255), part["label"])
        np.testing.assert_array_equal(part["image"][..., 2], 1)


def test_folders_train_and_test_are_taken_as_they_are(tmp_path):
    make(tmp_path / "train", count=3)
    make(tmp_path / "test", classes=("bee",), count=2)
    dataset = data.image_folder(tmp_path)
    assert dataset.train["label"].tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.test["label"].tolist() == [1, 1]


def test_images_are_scaled_turned_to_grey_and_set_upright(tmp_path):
    gradient = np.tile(np.linspace(0, 255, 20).astype(np.uint8), (10, 1))
    write(tmp_path / "a" / "grey.png", gradient)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the picture is to be turned by 270 degrees
    write(tmp_path / "a" / "turned.jpg", np.rot90(gradient), exif=exif, quality=100)
    write(tmp_path / "a" / "colour.bmp", np.repeat(gradient[..., None], 3, axis=-1))
    image = data.image_folder(tmp_path, size=(5, 10), channels=1, held_out=1).train["image"]
    assert image.shape == (2, 5, 10, 1)
    for each in data.image_folder(tmp_path, size=(5, 10), held_out=1).train["image"]:
        assert each.shape == (5, 10, 3)
        assert (np.diff(each[2, :, 0]) > 0.05).all()


def test_other_sizes_are_refused_by_name_unless_scaled(tmp_path):
    make(tmp_path)
    write(tmp_path / "bee" / "large.png", np.zeros((9, 9, 3)))
    with pytest.raises(ValueError, match=r"bee/large.png is \(9, 9\), but .*ant/0.png is \(6, 4\): give size="):
        data.image_folder(tmp_path)
    assert data.image_folder(tmp_path, size=8).train["image"].shape[1:] == (8, 8, 3)


def test_other_sizes_or_classes_of_the_test_are_refused(tmp_path):
    make(tmp_path / "train")
    make(tmp_path / "test", size=(3, 3))
    with pytest.raises(ValueError, match=r"train is \(6, 4\), test is \(3, 3\)"):
        data.image_folder(tmp_path)
    make(tmp_path / "test", classes=("wasp",), size=(3, 3))
    with pytest.raises(ValueError, match="does not have: wasp"):
        data.image_folder(tmp_path)


@pytest.mark.parametrize("damage", ["text", "cut", "empty", "deep"])
def test_what_is_no_image_is_refused_by_name(tmp_path, damage):
    make(tmp_path)
    path = tmp_path / "bee" / "4.png"
    if damage == "deep":
        Image.fromarray(np.zeros((6, 4), np.uint16)).save(path)
    else:
        path.write_bytes({"text": b"text", "cut": path.read_bytes()[:-30], "empty": b""}[damage])
    with pytest.raises(ValueError, match=r"bee/4\.png: not an image that can be read: "):
        data.image_folder(tmp_path)


def test_an_image_of_absurd_size_is_refused_from_its_header(tmp_path):
    make(tmp_path)
    path = tmp_path / "ant" / "huge.pgm"
    path.write_bytes(b"P5 9000 9000 255\n" + bytes(10))
    with pytest.raises(ValueError, match=r"huge.pgm: .*9000 x 9000 pixels, and 67108864 are allowed"):
        data.image_folder(tmp_path)


def test_missing_folders_and_images_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no directory .*nowhere"):
        data.image_folder(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="has no folders"):
        data.image_folder(tmp_path)
    (tmp_path / "ant").mkdir()
    with pytest.raises(FileNotFoundError, match="ant has no images"):
        data.image_folder(tmp_path)
    with pytest.raises(ValueError, match="image_folder needs data_dir"):
        data.load("image_folder")
    with pytest.raises(ValueError, match=r"channels must be 1 .* or 3 .* got 4"):
        data.image_folder(tmp_path, channels=4)
