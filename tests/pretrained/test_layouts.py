"""Layouts against torch's own layers with the same numbers; each undoes itself."""

import numpy as np
import pytest

from jaxdl.nn.convolution.convolution import convolve
from jaxdl.nn.convolution.transposed import ConvTranspose
from jaxdl.pretrained import layouts
from tests.peers import torch


@pytest.mark.parametrize(("rank", "groups"), [(1, 1), (2, 1), (3, 1), (2, 2), (2, 4)])
def test_a_convolution_of_any_rank_and_any_groups_is_plain(rank, groups):
    library = torch()
    peer = getattr(library.nn, f"Conv{rank}d")(4, 8, 3, groups=groups, bias=False)
    theirs = peer.weight.detach().numpy()
    change = layouts.plain.change("kernel")
    x = np.random.RandomState(0).standard_normal((2, *(5, 6, 4)[:rank], 4)).astype(np.float32)
    ours = convolve(x, change.to_ours(theirs), groups=groups, form="lax")
    expected = peer(library.tensor(np.moveaxis(x, -1, 1).copy())).detach().numpy()
    np.testing.assert_allclose(ours, np.moveaxis(expected, 1, -1), atol=1e-5)
    np.testing.assert_array_equal(change.to_theirs(change.to_ours(theirs)), theirs)


def test_a_transposed_convolution_is_plain(key):
    library = torch()
    peer = library.nn.ConvTranspose2d(4, 6, 3, stride=2)
    x = np.random.RandomState(0).standard_normal((2, 3, 4, 4)).astype(np.float32)
    kernel = layouts.plain.change("kernel").to_ours(peer.weight.detach().numpy())
    params = {"kernel": kernel, "bias": peer.bias.detach().numpy()}
    ours = ConvTranspose(6, (3, 3), stride=2).apply({"params": params}, x)
    expected = peer(library.tensor(np.moveaxis(x, -1, 1).copy())).detach().numpy()
    np.testing.assert_allclose(ours, np.moveaxis(expected, 1, -1), atol=1e-5)


def test_a_dense_layer_after_a_flattening():
    library = torch()
    peer = library.nn.Sequential(library.nn.Flatten(), library.nn.Linear(4 * 2 * 3, 5, bias=False))
    theirs = peer[1].weight.detach().numpy()
    change = layouts.flattened(2, 3).change("kernel")
    x = np.random.RandomState(0).standard_normal((2, 2, 3, 4)).astype(np.float32)
    expected = peer(library.tensor(np.moveaxis(x, -1, 1).copy())).detach().numpy()
    np.testing.assert_allclose(x.reshape(2, -1) @ change.to_ours(theirs), expected, atol=1e-5)
    np.testing.assert_array_equal(change.to_theirs(change.to_ours(theirs)), theirs)


def test_vectors_are_copied_and_a_parameter_is_changed_by_its_own_functions():
    vector = np.arange(3.0)
    assert layouts.plain.change("bias").to_ours(vector) is vector
    token = layouts.parameter(lambda a: a[0, 0], lambda a: a[None, None])
    np.testing.assert_array_equal(token.change("token").to_ours(vector[None, None]), vector)
    assert token.change("token").to_theirs(vector).shape == (1, 1, 3)


def test_a_part_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="from 0 to 2, got 3"):
        layouts.part(3, 3)
