"""Conditional random fields over the labels of a tagger (Huang et al., 2015; Lample et al., 2016)."""

from flax import linen

from jaxdl.arrays import widen
from jaxdl.nn.crf import Chain
from jaxdl.typing import ArrayLike


class LinearChainCRF(linen.Module):
    """Learned scores of transitions over the logits of any network that labels every step.

    With a bidirectional `Tagger` of LSTMs it is the BiLSTM-CRF. Its task is ``tasks.crf_tagging``. Parameters are those
    of the network, ``transitions``, ``first`` and ``last``, at first 0: a network without knowledge of transitions.

    Args:
        network: ``network(x, lengths, train)`` returns logits ``[B, T, K]``.

    >>> import jax, jax.numpy as jnp
    >>> from jaxdl.models.sequence.classifiers import Tagger
    >>> model = LinearChainCRF(Tagger(vocab_size=9, num_classes=3, embedding_dim=4))
    >>> chain, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.zeros((2, 6), int))
    >>> chain.emissions.shape, sorted(variables["params"])
    ((2, 6, 3), ['first', 'last', 'network', 'transitions'])
    """

    network: linen.Module

    @linen.compact
    def __call__(self, x: ArrayLike, lengths: ArrayLike | None = None, train: bool = False) -> Chain:
        """Compute the scores of the labels of ``x``."""
        emissions = widen(self.network(x, lengths, train))  # pyright: ignore[reportCallIssue]
        size = emissions.shape[-1]
        zeros = linen.initializers.zeros
        return Chain(
            emissions,
            self.param("transitions", zeros, (size, size)),
            self.param("first", zeros, (size,)),
            self.param("last", zeros, (size,)),
        )
