"""Drawn nuclei and lesions, and nuclei in the files of StarDist."""

import io
import zipfile

import numpy as np
import pytest
from scipy import ndimage

from jaxdl.data.sources import cells, lesions

pillow = pytest.importorskip("PIL.Image", reason="pillow reads and writes the images")
IMAGE = (np.arange(20).reshape(4, 5) * 3000).astype(np.uint16)
MASK = np.arange(20).reshape(4, 5).astype(np.uint16) * 20 % 301


def tiff(array):
    file = io.BytesIO()
    pillow.fromarray(array).save(file, "TIFF")
    return file.getvalue()


def write(folder, **files):
    for name, array in files.items():
        path = folder / (name.replace("__", "/") + ".tif")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tiff(array))


def test_drawn_nuclei_are_whole_numbered_and_touch():
    drawn = cells.draw_nuclei(0, 2, size=96, nuclei=30)
    again = cells.draw_nuclei(np.random.default_rng(0), 2, size=96, nuclei=30)
    touching = 0
    for name in drawn:
        np.testing.assert_array_equal(drawn[name], again[name])
    for image, instances in zip(drawn["image"][..., 0], drawn["instances"], strict=True):
        assert set(np.unique(instances)) == set(range(instances.max() + 1))
        assert image[instances > 0].mean() > 3 * image[ndimage.binary_erosion(instances == 0, iterations=3)].mean()
        touching += instances.max() - ndimage.label(instances > 0)[1]
    assert touching > 0


@pytest.mark.parametrize("form", ["folders", "unpacked", "wheel"])
def test_images_and_instances_of_16_bits_are_read(tmp_path, form):
    if form == "folders":
        write(tmp_path, images__a=IMAGE, masks__a=MASK, images__b=IMAGE[:2], masks__b=MASK[:2])
    elif form == "unpacked":
        write(tmp_path, stardist__data__images__img2d=IMAGE, stardist__data__images__mask2d=MASK)
    else:
        with zipfile.ZipFile(tmp_path / "x.whl", "w") as wheel:
            wheel.writestr("stardist/data/images/img2d.tif", tiff(IMAGE))
            wheel.writestr("stardist/data/images/mask2d.tif", tiff(MASK))
    read = cells.read_nuclei(tmp_path / "x.whl" if form == "wheel" else tmp_path)
    assert len(read) == (2 if form == "folders" else 1)
    np.testing.assert_array_equal(read[0]["instances"], MASK)
    low, high = np.percentile(IMAGE, (1, 99.8))
    np.testing.assert_allclose(read[0]["image"][..., 0], (IMAGE - low) / (high - low), rtol=1e-5, atol=1e-6)


def test_what_is_missing_or_damaged_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        cells.read_nuclei(tmp_path)
    write(tmp_path, images__a=IMAGE, masks__a=MASK[:2])
    with pytest.raises(ValueError, match=r"\(4, 5\) and \(2, 5\)"):
        cells.read_nuclei(tmp_path)
    (tmp_path / "masks" / "a.tif").write_bytes(b"II*\0")
    with pytest.raises(ValueError, match=r"a\.tif"):
        cells.read_nuclei(tmp_path)
    with pytest.raises(ValueError, match=r"a\.tif"):
        cells.read_nuclei(tmp_path / "masks" / "a.tif")
    (tmp_path / "masks" / "a.tif").unlink()
    with pytest.raises(FileNotFoundError, match="masks"):
        cells.read_nuclei(tmp_path)


def test_lesions_have_the_masks_of_three_annotators():
    drawn = lesions.draw_lesions(0, 5)
    nothing, core, halo = np.moveaxis(drawn["masks"], 1, 0)
    assert not nothing.any()
    assert (core <= halo).all()
    for image, inner, outer in zip(drawn["image"][..., 0], core == 1, halo == 1, strict=True):
        assert image[inner].mean() > image[outer & ~inner].mean() + 0.3 > image[~outer].mean() + 0.5
    assert sum(lesions.PROBABILITIES) == pytest.approx(1)
