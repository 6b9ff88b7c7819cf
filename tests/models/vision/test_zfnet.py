"""ZFNet against the same layers in torch, and its counts and sizes against the paper's."""

from functools import partial

import jax
import numpy as np
import pytest

from jaxdl import models, pretrained, tree
from jaxdl.models.vision.zfnet import ZFNet
from tests.models.parity import assert_parity
from tests.models.vision.test_alexnet import NAMES, torch_of_layers


@pytest.mark.usefixtures("float64")
def test_it_is_torchs_layers():
    model = ZFNet(5, widths=(4, 6, 5, 4, 6), hidden_sizes=(7, 6), dropout_rate=0.0)
    peer = torch_of_layers(model, (2, 2, 1, 1, 1), (1, 0, 1, 1, 1), (7, 5, 3, 3, 3), response_norm_first=False)
    x = 20 * np.random.RandomState(0).standard_normal((2, 57, 53, 3))
    assert_parity(model, peer, NAMES, x)


def test_counts_and_maps_are_the_papers():
    for name, count in (("zfnet", 62_357_608), ("zfnet_large", 107_627_624)):
        model = models.create(name)
        forms = pretrained.template(model, models.input_shape(name))
        assert tree.size(forms["params"]) == count
        apply = partial(model.apply, return_intermediates=True)
        logits, features = jax.eval_shape(apply, forms, jax.ShapeDtypeStruct((1, 224, 224, 3), np.float32))
        sides = [features[name].shape[1] for name in ("conv1", "pool1", "conv2", "pool2", "conv3", "conv5", "pool5")]
        assert sides == [110, 55, 26, 13, 13, 13, 6]
        assert logits.shape == (1, 1000)


def test_small_images_are_refused(key):
    with pytest.raises(ValueError, match=r"at least 53, got \(1, 52, 60, 3\)"):
        models.create("zfnet").init(key, np.ones((1, 52, 60, 3), np.float32))
    model = models.create("zfnet", num_classes=None, widths=(1, 1, 1, 1, 1))
    assert jax.eval_shape(model.init_with_output, key, np.ones((1, 53, 53, 3)))[0].shape == (1, 6, 6, 1)
