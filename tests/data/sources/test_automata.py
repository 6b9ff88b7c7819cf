"""Labels of strings against the definitions of the languages."""

import jax
import numpy as np
import pytest

from jaxdl.data.sources import automata

LANGUAGES = {
    automata.ends_in_1011: lambda bits: bits[-4:].tolist() == [1, 0, 1, 1],
    automata.even_counts: lambda bits: sum(bits) % 2 == 0 and sum(1 - bits) % 2 == 0,
    automata.equal_modulo_three: lambda bits: (sum(bits) - sum(1 - bits)) % 3 == 0,
}


def test_labels_follow_the_definitions():
    stacked = automata.stack_automata([make() for make in LANGUAGES])
    draw = jax.jit(jax.vmap(lambda automaton: automata.labelled_strings(jax.random.key(0), 20, 12, automaton)))
    for bits, labels, belongs in zip(*map(np.asarray, draw(stacked)), LANGUAGES.values(), strict=True):
        expected = [[belongs(row[: t + 1]) for t in range(12)] for row in bits]
        np.testing.assert_array_equal(labels, expected)
        assert 0 < labels.mean() < 1


@pytest.mark.parametrize(("moves", "accepting"), [([(0, 3)], [0]), ([(0, 0)], [3])])
def test_an_unknown_state_is_rejected(moves, accepting):
    with pytest.raises(ValueError, match="got 3"):
        automata.make_automaton(moves, accepting)
