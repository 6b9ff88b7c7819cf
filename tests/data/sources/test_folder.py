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


@pytest.mark.parametrize("damage", ["text", "cut", "empty", "deep", "format"])
def test_a_damaged_image_is_an_error(tmp_path, damage):
    make(tmp_path)
    path = tmp_path / "bee" / "4.png"
    if damage == "deep":
        Image.fromarray(np.zeros((6, 4), np.float32)).save(path, format="TIFF")
    elif damage == "format":
        Image.fromarray(np.zeros((6, 4), np.uint8)).save(path, format="ICO")
    else:
        path.write_bytes({"text": b"text", "cut": path.read_bytes()[:-30], "empty": b""}[damage])
    with pytest.raises(ValueError, match=r"bee/4\.png: expected an image, got "):
        data.image_folder(tmp_path)


def test_a_changed_bit_of_a_png_is_an_error(tmp_path):
    (tmp_path / "a").mkdir()
    pixels = np.random.default_rng(0).integers(256, size=(8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a" / "0.png", compress_level=0)
    content = bytearray((tmp_path / "a" / "0.png").read_bytes())
    place = content.index(b"IDAT") + 100
    content[place] ^= 1
    (tmp_path / "a" / "0.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"0\.png: expected an image, got"):
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


def test_a_validation_set_is_the_test_set_or_beside_it(tmp_path):
    for part, count in (("train", 3), ("val", 2)):
        make(tmp_path / part, count=count)
    dataset = data.image_folder(tmp_path)
    assert (len(dataset.train["label"]), len(dataset.test["label"]), dataset.validation) == (6, 4, None)
    make(tmp_path / "Test", count=1)
    dataset = data.image_folder(tmp_path)
    assert (len(dataset.test["label"]), len(dataset.validation["label"])) == (2, 4)
    make(tmp_path / "valid", count=1)
    with pytest.raises(ValueError, match="one folder for validation, got val, valid"):
        data.image_folder(tmp_path)


def test_parts_without_a_training_set_are_an_error_and_no_classes(tmp_path):
    make(tmp_path / "val")
    make(tmp_path / "test")
    with pytest.raises(ValueError, match="a folder train beside val, test, got none"):
        data.image_folder(tmp_path)
    make(tmp_path / "tools", classes=("test", "valve"))  # a class may have such a name
    assert data.image_folder(tmp_path / "tools").classes == ("test", "valve")


def test_images_in_subfolders_and_with_any_suffix_belong_to_their_class(tmp_path):
    make(tmp_path, count=1)
    for name in ("deep/er/1.PNG", "2.jfif", "3.JPE", "4.Tif"):
        write(
            tmp_path / "ant" / name, np.zeros((6, 4, 3)), format="JPEG" if name[-1] in "fE" and name[0] != "4" else None
        )
    write(tmp_path / "ant" / ".thumbnails" / "0.png", np.zeros((6, 4, 3)))
    dataset = data.image_folder(tmp_path, held_out=1)
    assert len(dataset.train["label"]) + len(dataset.test["label"]) == 6
    (tmp_path / "bee" / "5.heic").write_bytes(b"")
    with pytest.raises(ValueError, match=r"5\.heic: expected an image of a format that is read"):
        data.image_folder(tmp_path)


def test_transparent_deep_and_indexed_images_are_read_as_they_look(tmp_path):
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0] = [255, 0, 0, 255]
    pixels[1] = [0, 255, 0, 0]  # an invisible colour
    red, white = [1, 0, 0], [1, 1, 1]
    for mode in ("RGBA", "P"):
        (tmp_path / "a").mkdir(exist_ok=True)
        Image.fromarray(pixels).convert(mode).save(tmp_path / "a" / f"{mode}.png")
    grey = Image.fromarray(np.uint8([[0, 0], [9, 9]])).convert("L")
    grey.save(tmp_path / "a" / "grey.png", transparency=9)
    images = data.image_folder(tmp_path, held_out=1).train["image"]
    images = np.concatenate([images, data.image_folder(tmp_path, held_out=1).test["image"]])
    assert sorted(image[0, 0].tolist() for image in images) == [[0, 0, 0], red, red]
    assert [image[1, 0].tolist() for image in images] == [white] * 3
    (tmp_path / "b" / "a").mkdir(parents=True)
    for name in ("0.png", "1.tiff"):
        Image.fromarray(np.uint16([[0, 65535, 257 * 7]])).save(tmp_path / "b" / "a" / name)
    (tmp_path / "b" / "a" / "2.pgm").write_bytes(b"P5 3 1 65535\n" + np.array([0, 65535, 257 * 7], ">u2").tobytes())
    images = data.image_folder(tmp_path / "b", channels=1, held_out=1).train["image"]
    np.testing.assert_allclose(images[:, 0, :, 0] * 255, [[0, 255, 7]] * 2, rtol=1e-6)


@pytest.mark.parametrize("size", [4, np.int64(4), np.array([4, 4]), [4, 4]])
def test_the_size_of_one_image_may_be_one_number(size, tmp_path):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    assert data.read_image(tmp_path / "a.png", size=size).shape == (4, 4, 3)
