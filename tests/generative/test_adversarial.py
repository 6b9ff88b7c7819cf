"""Objectives of two players against torch, the best response in closed form, the gradient penalty, the pool."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxdl import generative
from jaxdl.generative import ImagePool
from tests.peers import torch

OBJECTIVES = {
    "saturating": generative.saturating,
    "non_saturating": generative.non_saturating,
    "least_squares": generative.least_squares,
    "wasserstein": generative.wasserstein,
    "hinge": generative.hinge,
}


def torch_losses(name, real, fake, label):
    """Return the losses of the discriminator and the generator, as the usual loops in torch compute them."""
    functional = torch().nn.functional
    like = torch().full_like

    def entropy(logits, target):
        return functional.binary_cross_entropy_with_logits(logits, like(logits, target))

    def error(logits, target):
        return functional.mse_loss(logits, like(logits, target))

    return {
        "saturating": lambda: (entropy(real, label) + entropy(fake, 0.0), -entropy(fake, 0.0)),
        "non_saturating": lambda: (entropy(real, label) + entropy(fake, 0.0), entropy(fake, 1.0)),
        "least_squares": lambda: (error(real, label) + error(fake, 0.0), error(fake, 1.0)),
        "wasserstein": lambda: (fake.mean() - real.mean(), -fake.mean()),
        "hinge": lambda: (functional.relu(1 - real).mean() + functional.relu(1 + fake).mean(), -fake.mean()),
    }[name]()


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_and_gradients_equal_those_of_torch(name):
    generator = np.random.default_rng(0)
    real, fake = generator.normal(0, 3, (2, 4, 2, 3, 1))
    label = 0.9 if name in ("saturating", "non_saturating", "least_squares") else 1.0
    objective = OBJECTIVES[name](*([0.9] if label < 1 else []))

    @jax.jit
    def ours(real, fake):
        return (
            jax.value_and_grad(objective.discriminator, argnums=(0, 1))(real, fake),
            jax.value_and_grad(objective.generator)(fake),
        )

    (of_d, gradients), (of_g, gradient) = ours(real, fake)
    x, y = (torch().tensor(each, requires_grad=True) for each in (real, fake))
    losses = torch_losses(name, x, y, label)
    np.testing.assert_allclose([of_d, of_g], [loss.item() for loss in losses], rtol=1e-12)
    for mine, theirs in zip(gradients, torch().autograd.grad(losses[0], (x, y)), strict=True):
        np.testing.assert_allclose(mine, theirs.numpy(), rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(gradient, torch().autograd.grad(losses[1], y)[0].numpy(), rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_masked_rows_change_neither_loss_nor_gradient(name):
    objective = OBJECTIVES[name]()
    logits = np.random.default_rng(1).normal(size=(2, 3, 2)).astype(np.float32)
    padded = np.concatenate([logits, np.full((2, 2, 2), np.nan, np.float32)], axis=1)
    mask = np.array([1.0, 1.0, 1.0, 0.0, 0.0], np.float32)

    @jax.jit
    def both(real, fake, mask):
        one = jax.value_and_grad(lambda real, fake: objective.discriminator(real, fake, mask))(real, fake)
        return one, jax.value_and_grad(lambda fake: objective.generator(fake, mask))(fake)

    for (value, gradient), (expected, known) in zip(both(*padded, mask), both(*logits, mask[:3]), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-6)
        np.testing.assert_allclose(gradient[:3], known, rtol=1e-6)
        assert not np.any(gradient[3:])


def test_half_precision_and_integers_give_single_precision():
    objective = generative.non_saturating()
    assert objective.discriminator(jnp.zeros(2, jnp.bfloat16), np.zeros(2, np.int32)).dtype == jnp.float32
    assert generative.wasserstein().generator(np.float16([1, 3])).item() == -2
    assert np.isfinite(objective.discriminator(np.float32([1e4]), np.float32([-1e4])))


@pytest.mark.parametrize("make", [generative.saturating, generative.non_saturating, generative.least_squares])
def test_a_label_beyond_one_is_an_error(make):
    with pytest.raises(ValueError, match=r"got 1\.1"):
        make(1.1)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("label", [1.0, 0.9])
def test_the_best_discriminator_of_two_gaussians_is_the_minimum(label):
    x = np.linspace(-6, 6, 401)
    data, model = stats.norm(1, 0.5), stats.norm(-0.5, 1)
    best = generative.optimal_discriminator(data.logpdf(x), model.logpdf(x), label)
    np.testing.assert_allclose(best, label * data.pdf(x) / (data.pdf(x) + model.pdf(x)), rtol=1e-10, atol=1e-300)
    # The derivative of the expected loss, by the logit at each x, is zero there and nowhere else.
    logits = jnp.log(best) - jnp.log1p(-best)

    def expected_loss(logits):
        real = -label * jax.nn.log_sigmoid(logits) - (1 - label) * jax.nn.log_sigmoid(-logits)
        return jnp.sum(data.pdf(x) * real - model.pdf(x) * jax.nn.log_sigmoid(-logits))

    slope = jax.grad(expected_loss)
    np.testing.assert_allclose(slope(logits), 0, atol=1e-12)
    assert np.all((slope(logits + 0.1) > 0) & (slope(logits - 0.1) < 0))


def test_the_best_discriminator_is_right_where_densities_underflow():
    assert generative.optimal_discriminator(np.float32(-1e4), np.float32(-1e4 - 1)).item() == pytest.approx(0.7310586)


@pytest.mark.usefixtures("float64")
def test_the_gradient_penalty_and_its_gradient_equal_those_of_torch():
    generator = np.random.default_rng(2)
    real, fake, w, v = (generator.normal(size=shape) for shape in ((4, 3), (4, 3), (3, 5), (5, 1)))
    key = jax.random.key(3)

    def ours(w, v):
        return generative.gradient_penalty(lambda x: jnp.tanh(x @ w) @ v, real, fake, key)

    value, gradients = jax.jit(jax.value_and_grad(ours, argnums=(0, 1)))(w, v)
    share = np.asarray(jax.random.uniform(key, (4, 1)))
    a, b = (torch().tensor(each, requires_grad=True) for each in (w, v))
    x = torch().tensor(share * real + (1 - share) * fake, requires_grad=True)
    (slopes,) = torch().autograd.grad((torch().tanh(x @ a) @ b).sum(), x, create_graph=True)
    penalty = ((slopes.norm(2, dim=1) - 1) ** 2).mean()
    penalty.backward()
    np.testing.assert_allclose(value, penalty.item(), rtol=1e-12)
    for mine, theirs in zip(gradients, (a, b), strict=True):
        np.testing.assert_allclose(mine, theirs.grad.numpy(), rtol=1e-9)


def test_the_gradient_penalty_of_a_flat_critic_and_of_padding_has_a_gradient():
    x = np.float32([[1.0, 2.0], [np.nan, np.nan]])

    def penalty(w):
        return generative.gradient_penalty(lambda x: x @ w, x, -x, jax.random.key(0), mask=np.float32([1, 0]))

    value, gradient = jax.value_and_grad(penalty)(jnp.zeros(2))
    assert value == 1
    assert not np.any(gradient)
    with pytest.raises(ValueError, match=r"\(2, 2\) and \(1, 2\)"):
        generative.gradient_penalty(lambda x: x, x, x[:1], jax.random.key(0))


def public_pool(images, size, coins, places):
    """Query the pool of the public implementation, its coins and places given."""
    pool, shown = [], []
    for image, coin, place in zip(images, coins, places, strict=True):
        if len(pool) < size:
            pool.append(image)
            shown.append(image)
        elif coin:
            shown.append(pool[place])
            pool[place] = image
        else:
            shown.append(image)
    return np.array(shown), np.array(pool)


def test_the_pool_is_that_of_the_public_implementation():
    images = np.arange(24, dtype=np.float32).reshape(3, 8, 1, 1, 1)
    query = jax.jit(generative.query_image_pool)
    pool, coins, places, shown = generative.init_image_pool(5, images[0, 0]), [], [], []
    for number, batch in enumerate(images):
        key = jax.random.key(number)
        coin_key, place_key = jax.random.split(key)
        coins.extend(np.asarray(jax.random.bernoulli(coin_key, 0.5, (8,))))
        places.extend(np.asarray(jax.random.randint(place_key, (8,), 0, 5)))
        found, pool = query(pool, batch, key)
        shown.extend(np.asarray(found))
    expected, kept = public_pool(images.reshape(24, 1, 1, 1), 5, coins, places)
    np.testing.assert_array_equal(shown, expected)
    np.testing.assert_array_equal(pool.images, kept)
    assert pool.count == 5
    assert 0 < sum(coins) < 24


def test_a_pool_passes_no_gradient_and_has_a_size():
    pool = ImagePool(jnp.zeros((1, 1, 1, 1)), jnp.zeros((), jnp.int32))
    x = jnp.ones((2, 1, 1, 1))
    assert not np.any(jax.grad(lambda x: generative.query_image_pool(pool, x, jax.random.key(0))[0].sum())(x))
    with pytest.raises(ValueError, match="got 0"):
        generative.init_image_pool(0, x[0])


def test_a_pool_of_bytes_holds_real_numbers():
    pool = generative.init_image_pool(2, np.zeros((1, 1, 1), np.uint8))
    shown, _ = generative.query_image_pool(pool, jnp.full((1, 1, 1, 1), 0.5), jax.random.key(0))
    assert shown.tolist() == [[[[0.5]]]]


def test_the_loop_of_a_pool_holds_no_images():
    images = jnp.zeros((16, 8, 8, 3))  # in a loop, devices that share the batch would send all of them for each
    pool = generative.init_image_pool(4, images[0])
    program = jax.make_jaxpr(generative.query_image_pool)(pool, images, jax.random.key(0))
    (loop,) = [equation for equation in program.eqns if equation.primitive.name == "scan"]
    assert sum(value.aval.size for value in loop.invars) < images[0].size
