"""A GPT of six blocks of 256 over bytes: loss and gradients, and generation with a cache, against transformers.

The same weights on every side. Loss and gradients, and the tokens that are written, are shown equal before anything is
timed. In torch the tokens come from a loop over its cache, which is faster there than ``generate``; "anew" is ours
without a cache, which reads all tokens so far for each new one.
"""

import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import peers
from experiments.benchmarks.decoding import LENGTH, check_equal, compiled, computed_anew, tokens_a_second
from experiments.benchmarks.timing import Case, Missing
from jaxdl import decode, losses, pretrained, tree
from jaxdl.models.stepping import step_function
from jaxdl.models.transformers.gpt import GPT

VOCABULARY, CONTEXT, WIDTH, DEPTH, HEADS = 256, 256, 256, 6, 8
BATCH = 8
WRITERS = (1, 16)
MODEL = GPT(VOCABULARY, CONTEXT, WIDTH, DEPTH, HEADS, dropout_rate=0.0, attention_dropout_rate=0.0)


def titles() -> list[str]:
    """Name the cases."""
    title = f"GPT {DEPTH} x {WIDTH}"
    writing = [f"{title}, {LENGTH} tokens written, batch {batch}" for batch in WRITERS]
    return [f"{title}, batch {BATCH}, {CONTEXT} tokens, loss and gradients", *writing]


def cases() -> Iterator[Case | Missing]:
    """Yield training, and generation at both batch sizes."""
    variables = jax.jit(MODEL.init)(jax.random.key(0), jnp.zeros((1, 1), int))
    # Larger than first values are, so that the choices of the tokens are far apart.
    variables = jax.tree.map(lambda leaf: 3 * leaf if leaf.ndim > 1 else leaf, variables)
    title = f"GPT {DEPTH} x {WIDTH}"
    with_torch = importlib.util.find_spec("torch") and importlib.util.find_spec("transformers")
    peer = torch_model(variables) if with_torch else None
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, (BATCH, CONTEXT + 1))
    training = f"{title}, batch {BATCH}, {CONTEXT} tokens, loss and gradients"
    if peer is None:
        yield Missing(training, "transformers")
    else:
        ours, theirs = learning(variables, tokens), torch_learning(peer, tokens)
        check_gradients(ours(), theirs())
        yield Case(training, "transformers", ours, theirs, 1.1)
    for batch in WRITERS:
        first = np.arange(batch) % VOCABULARY
        ours = compiled(cached, variables, first)
        anew = compiled(partial(computed_anew, MODEL), variables, first)
        writing, details = f"{title}, {LENGTH} tokens written, batch {batch}", partial(tokens_a_second, batch)
        check_equal(ours, anew)
        yield Case(writing, "anew", ours, anew, 1.0, details=details)
        if peer is not None:
            theirs = torch_writing(peer, first)
            check_equal(ours, theirs)
            yield Case(writing, "transformers", ours, theirs, 1.1, details=details)


def learning(variables: dict, tokens: np.ndarray) -> Callable[[], tuple[jax.Array, dict]]:
    """Compile the loss of the next tokens with the gradient of every parameter."""

    @jax.jit
    def run(variables: dict, tokens: jax.Array) -> tuple[jax.Array, dict]:
        def loss(variables: dict) -> jax.Array:
            return losses.cross_entropy(MODEL.apply(variables, tokens[:, :-1]), tokens[:, 1:])

        return jax.value_and_grad(loss)(variables)

    arrays = jax.device_put((variables, tokens))
    return lambda: jax.block_until_ready(run(*arrays))


def cached(variables: dict, first: jax.Array) -> jax.Array:
    """Generate with a cache of keys and values."""
    carry = MODEL.init_carry(first.shape, LENGTH)
    return decode.greedy(step_function(MODEL, variables), carry, first, max_length=LENGTH).tokens


def torch_model(variables: dict) -> Any:
    """Build the model in transformers with our weights."""
    import torch

    library = peers.transformers()
    torch.set_num_threads(2)
    sizes = {"vocab_size": VOCABULARY, "n_positions": CONTEXT, "n_embd": WIDTH, "n_layer": DEPTH, "n_head": HEADS}
    none = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    peer = library.GPT2LMHeadModel(library.GPT2Config(**sizes, **none, bos_token_id=0, eos_token_id=0))
    entries = pretrained.to_theirs(tree.flatten(variables), pretrained.rules_of(MODEL, "huggingface"))
    known, unknown = peer.load_state_dict({name: torch.tensor(leaf) for name, leaf in entries.items()}, strict=False)
    if unknown or set(known) - {"lm_head.weight"}:  # the output has the weights of the embedding
        raise RuntimeError(f"weights that do not fit each other: {known} and {unknown}")
    return peer


def torch_learning(peer: Any, tokens: np.ndarray) -> Callable[[], tuple[Any, dict]]:
    """Return a function that computes the loss and all gradients in torch."""
    import torch

    inputs, targets = torch.tensor(tokens[:, :-1]), torch.tensor(tokens[:, 1:]).reshape(-1)

    def run() -> tuple[Any, dict]:
        peer.zero_grad(set_to_none=True)
        logits = peer(inputs, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, VOCABULARY), targets)
        loss.backward()
        return loss.detach(), {name: leaf.grad for name, leaf in peer.named_parameters()}

    return run


def check_gradients(ours: tuple[jax.Array, dict], theirs: tuple[Any, dict]) -> None:
    """Check that losses and gradients are equal, up to float32."""
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-4)
    mine = pretrained.to_theirs(tree.flatten(ours[1]), pretrained.rules_of(MODEL, "huggingface"))
    for name, gradient in theirs[1].items():
        np.testing.assert_allclose(mine[name], gradient, rtol=1e-2, atol=1e-3 * float(gradient.abs().max()))


def torch_writing(peer: Any, first: np.ndarray) -> Callable[[], np.ndarray]:
    """Return a function that generates in torch, one token per call of the model, with its cache."""
    import torch

    start = torch.tensor(first)

    @torch.inference_mode()
    def run() -> np.ndarray:
        token, cache, tokens = start, None, []
        for _ in range(LENGTH):
            out = peer(token[:, None], past_key_values=cache, use_cache=True)
            token, cache = out.logits[:, -1].argmax(-1), out.past_key_values
            tokens.append(token)
        return torch.stack(tokens, dim=1).numpy()

    return run
