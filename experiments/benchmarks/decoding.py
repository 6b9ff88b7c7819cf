"""Generation from a recurrent language model: with its state, by reading the prefix again, and in torch.

One LSTM of 256 over 128 characters, with the same weights on every side; the most probable token is taken each time,
and the tokens of all sides are shown equal before anything is timed. "anew" reads all tokens so far for each new one,
as a model without a state has to. The rows say tokens a second.
"""

import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from experiments.benchmarks.timing import Case, Missing
from jaxdl import decode
from jaxdl.models import RecurrentLanguageModel, step_function
from jaxdl.nn.recurrent.cells import LSTM
from jaxdl.pretrained.recurrent import export_torch

VOCABULARY, WIDTH, LENGTH = 128, 256, 128
BATCHES = (1, 16)


def titles() -> list[str]:
    """Name the cases."""
    return [f"LSTM of {WIDTH}, {LENGTH} tokens, batch {batch}, state carried" for batch in BATCHES]


def cases() -> Iterator[Case | Missing]:
    """Yield every batch size against both peers."""
    model = RecurrentLanguageModel(vocab_size=VOCABULARY, cell=LSTM(WIDTH), embedding_dim=WIDTH)
    variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 1), int))
    variables = jax.tree.map(lambda leaf: 2 * leaf, variables)  # so that the choices are far apart
    for batch in BATCHES:
        first = jnp.arange(batch) % VOCABULARY
        ours = compiled(partial(carried, model), variables, first)
        title = f"LSTM of {WIDTH}, {LENGTH} tokens, batch {batch}"
        details = partial(tokens_a_second, batch)
        anew = compiled(partial(computed_anew, model), variables, first)
        check_equal(ours, anew)
        yield Case(f"{title}, state carried", "anew", ours, anew, 1.0, details=details)
        if importlib.util.find_spec("torch") is None:
            yield Missing(title, "torch")
            continue
        theirs = torch_run(variables["params"], first)
        check_equal(ours, theirs)
        yield Case(f"{title}, state carried", "torch", ours, theirs, 1.0, details=details)


def tokens_a_second(batch: int, row: dict[str, Any]) -> dict[str, Any]:
    """Return the tokens per second of each side."""
    return {f"tokens_a_second_{side}": round(batch * LENGTH / row[side]) for side in ("ours", "peer")}


def compiled(function: Callable, variables: dict, first: jax.Array) -> Callable[[], np.ndarray]:
    """Compile, and return a function that runs and blocks."""
    run = jax.jit(function)
    return lambda: np.asarray(run(variables, first))


def check_equal(ours: Callable[[], np.ndarray], theirs: Callable[[], np.ndarray]) -> None:
    """Check that both sides give the same tokens."""
    np.testing.assert_array_equal(ours(), theirs())


def carried(model: RecurrentLanguageModel, variables: dict, first: jax.Array) -> jax.Array:
    """Generate with the recurrent state."""
    carry = model.init_carry(first.shape)
    return decode.greedy(step_function(model, variables), carry, first, max_length=LENGTH).tokens


def computed_anew(model: linen.Module, variables: dict, first: jax.Array) -> jax.Array:
    """Generate by reading all tokens again for each new one; later positions are present and ignored."""

    def step(tokens: jax.Array, t: jax.Array) -> tuple[jax.Array, None]:
        logits = model.apply(variables, tokens[:, :-1])
        chosen = jnp.argmax(jax.lax.dynamic_index_in_dim(logits, t, axis=1, keepdims=False), axis=-1)
        return tokens.at[:, t + 1].set(chosen.astype(tokens.dtype)), None

    tokens = jnp.zeros((first.size, LENGTH + 1), first.dtype).at[:, 0].set(first)
    return jax.lax.scan(step, tokens, jnp.arange(LENGTH))[0][:, 1:]


def torch_run(params: dict, first: jax.Array) -> Callable[[], np.ndarray]:
    """Build the model in torch, with one step of its LSTM per token."""
    import torch

    torch.set_num_threads(2)
    tensor = partial(jax.tree.map, lambda leaf: torch.tensor(np.array(leaf)))
    lstm = torch.nn.LSTM(WIDTH, WIDTH, batch_first=True)
    lstm.load_state_dict(tensor(export_torch(params["rnn"], LSTM(WIDTH))))
    embedding, output = tensor(params["embedding"]["embedding"]), tensor(dict(params["output"]))
    start = torch.tensor(np.array(first), dtype=torch.long)

    @torch.inference_mode()
    def run() -> np.ndarray:
        token, state, tokens = start, None, []
        for _ in range(LENGTH):
            y, state = lstm(embedding[token][:, None], state)
            token = (y[:, 0] @ output["kernel"] + output["bias"]).argmax(-1)
            tokens.append(token)
        return torch.stack(tokens, dim=1).numpy()

    return run
