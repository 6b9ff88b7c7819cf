"""Strings of bits, labelled at every bit by whether the string so far is in a regular language."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.typing import Array, Key


class Automaton(NamedTuple):
    """A deterministic automaton, which starts in state 0; several are stacked along a leading dimension.

    Attributes:
        moves: the next state for each state and bit, int32 ``[S, 2]``.
        accepting: 1 for the states whose strings are in the language, int32 ``[S]``.
    """

    moves: np.ndarray | Array
    accepting: np.ndarray | Array


def make_automaton(moves: Sequence[tuple[int, int]], accepting: Iterable[int]) -> Automaton:
    """Make an automaton from the next states of each state and the accepting states.

    Raises:
        ValueError: a state does not exist.
    """
    table, states = np.array(moves, np.int32).reshape(-1, 2), np.array([*accepting], np.int32)
    largest = max(table.max(initial=0), states.max(initial=0))
    if largest >= len(table):
        raise ValueError(f"expected states 0 .. {len(table) - 1}, one for each row of moves, got {largest}")
    return Automaton(table, np.isin(np.arange(len(table)), states).astype(np.int32))


def ends_in_1011() -> Automaton:
    """Return the automaton of strings whose last four bits are 1011; occurrences may overlap."""
    return make_automaton([(0, 1), (2, 1), (0, 3), (2, 4), (2, 1)], [4])


def even_counts() -> Automaton:
    """Return the automaton of even numbers of zeros and of ones, the fifth language of Tomita (1982)."""
    return make_automaton([(1, 2), (0, 3), (3, 0), (2, 1)], [0])


def equal_modulo_three() -> Automaton:
    """Return the automaton of equal numbers of ones and zeros modulo three, the sixth language of Tomita (1982)."""
    return make_automaton([(2, 1), (0, 2), (1, 0)], [0])


def stack_automata(automata: Sequence[Automaton]) -> Automaton:
    """Stack automata, ``moves [L, S, 2]`` and ``accepting [L, S]``, with unreachable states as padding.

    >>> stack_automata([ends_in_1011(), even_counts()]).moves.shape
    (2, 5, 2)
    """
    states = max(len(automaton.accepting) for automaton in automata)
    missing = [states - len(automaton.accepting) for automaton in automata]
    moves = [np.pad(each.moves, ((0, count), (0, 0))) for each, count in zip(automata, missing, strict=True)]
    accepting = [np.pad(each.accepting, (0, count)) for each, count in zip(automata, missing, strict=True)]
    return Automaton(np.stack(moves), np.stack(accepting))


def labelled_strings(key: Key, count: int, length: int, automaton: Automaton) -> tuple[Array, Array]:
    """Draw strings of random bits and the labels of all their prefixes.

    Returns:
        Bits ``[N, T]`` and labels ``[N, T]``, int32; label ``t`` is 1 if the bits up to ``t`` are in the language.

    >>> bits, labels = labelled_strings(jax.random.key(0), 1, 4, make_automaton([(0, 1), (0, 1)], [1]))
    >>> (bits == labels).all().item()  # the language of strings that end in 1
    True
    """
    moves, accepting = map(jnp.asarray, automaton)
    bits = jax.random.bernoulli(key, 0.5, (length, count)).astype(jnp.int32)

    def read(state: Array, bit: Array) -> tuple[Array, Array]:
        state = moves[state, bit]
        return state, accepting[state]

    _, labels = jax.lax.scan(read, jnp.zeros(count, jnp.int32), bits)
    return bits.T, labels.T
