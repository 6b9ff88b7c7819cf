"""Images in folders: classes from folder names, in any format, size and colour mode."""

import numpy as np
import pytest

from jaxdl import data

Image = pytest.importorskip("PIL.Image", reason="pillow reads images")


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


def test_folders_train_and_test_are_kept(tmp_path):
    make(tmp_path / "train", count=3)
    make(tmp_path / "test", classes=("bee",), count=2)
    dataset = data.image_folder(tmp_path)
    assert dataset.train["label"].tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.test["label"].tolist() == [1, 1]


def test_images_are_resized_converted_to_grey_and_rotated(tmp_path):
    gradient = np.tile(np.linspace(0, 255, 20).astype(np.uint8), (10, 1))
    write(tmp_path / "a" / "grey.png", gradient)
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: rotate by 270 degrees
    write(tmp_path / "a" / "rotated.jpg", np.rot90(gradient), exif=exif, quality=100)
    write(tmp_path / "a" / "colour.bmp", np.repeat(gradient[..., None], 3, axis=-1))
    image = data.image_folder(tmp_path, size=(5, 10), channels=1, held_out=1).train["image"]
    assert image.shape == (2, 5, 10, 1)
    for each in data.image_folder(tmp_path, size=(5, 10), held_out=1).train["image"]:
        assert each.shape == (5, 10, 3)
        assert (np.diff(each[2, :, 0]) > 0.05).all()


def test_different_sizes_are_an_error_unless_resized(tmp_path):
    make(tmp_path)
    write(tmp_path / "bee" / "large.png", np.zeros((9, 9, 3)))
    with pytest.raises(ValueError, match=r"got \(6, 4\) in .*ant/0.png and \(9, 9\) in .*bee/large.png"):
        data.image_folder(tmp_path)
    assert data.image_folder(tmp_path, size=8).train["image"].shape[1:] == (8, 8, 3)


def test_other_sizes_or_classes_of_the_test_set_are_an_error(tmp_path):
    make(tmp_path / "train")
    make(tmp_path / "test", size=(3, 3))
    with pytest.raises(ValueError, match=r"got \(6, 4\) in train and \(3, 3\) in test"):
        data.image_folder(tmp_path)
    make(tmp_path / "test", classes=("wasp",), size=(3, 3))
    with pytest.raises(ValueError, match="got wasp"):
        data.image_folder(tmp_path)


@pytest.mark.parametrize("damage", ["text", "cut", "empty", "deep"])
def test_a_damaged_image_is_an_error(tmp_path, damage):
    make(tmp_path)
    path = tmp_path / "bee" / "4.png"
    if damage == "deep":
        Image.fromarray(np.zeros((6, 4), np.uint16)).save(path)
    else:
        path.write_bytes({"text": b"text", "cut": path.read_bytes()[:-30], "empty": b""}[damage])
    with pytest.raises(ValueError, match=r"bee/4\.png: expected an image, got "):
        data.image_folder(tmp_path)


def test_a_huge_image_is_rejected_from_its_header(tmp_path):
    make(tmp_path)
    path = tmp_path / "ant" / "huge.pgm"
    path.write_bytes(b"P5 9000 9000 255\n" + bytes(10))
    with pytest.raises(ValueError, match=r"huge.pgm: .*at most 67108864 pixels, got 9000 x 9000"):
        data.image_folder(tmp_path)


def test_missing_folders_and_images_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"got .*nowhere"):
        data.image_folder(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="got none"):
        data.image_folder(tmp_path)
    (tmp_path / "ant").mkdir()
    with pytest.raises(FileNotFoundError, match=r"ant, got none|ant, got no"):
        data.image_folder(tmp_path)
    with pytest.raises(ValueError, match=r"data_dir.* got None"):
        data.load("image_folder")
    with pytest.raises(ValueError, match="got 4"):
        data.image_folder(tmp_path, channels=4)
