"""Synthetic translations: formats of dates, and the two rules of the language."""

import numpy as np
import pytest

from jaxdl.data.sources import translation

FORMATTED = (
    *("3 march 2009", "march 3, 2009", "march 3rd, 2009", "the 3rd of march, 2009", "tuesday, 3 march 2009"),
    *("tuesday the 3rd of march 2009", "mar. 3, 2009", "3 mar '09", "tuesday, mar 3 2009", "3.3.2009", "03/03/09"),
    "2009, march 3",
)


def test_a_date_is_written_in_every_format():
    day = np.datetime64("2009-03-03")
    assert tuple(translation.format_date(day, template) for template in translation.FORMATS) == FORMATTED
    ordinals = [
        translation.format_date(np.datetime64("2010-01-01") + np.timedelta64(n, "D"), "{ordinal}") for n in range(31)
    ]
    assert ordinals[:4] == ["1st", "2nd", "3rd", "4th"]
    assert ordinals[10:13] == ["11th", "12th", "13th"]
    assert ordinals[20:24] == ["21st", "22nd", "23rd", "24th"]
    assert ordinals[29:] == ["30th", "31st"]


def test_dates_are_distinct_and_depend_on_the_seed_alone():
    pairs = translation.dates(3, 600)
    assert pairs == translation.dates(3, 600)
    assert pairs != translation.dates(4, 600)
    days = [np.datetime64(day) for _, day in pairs]
    assert len(set(days)) == 600
    for (written, _), day in zip(pairs, days, strict=True):
        assert written in [translation.format_date(day, template) for template in translation.FORMATS]


def test_sentences_obey_the_two_rules():
    found = translation.two_rules(1, 50, (2, 7), num_words=5, max_length=9)
    assert found["source"].shape == (50, 9)
    assert set(found["source_length"]) == set(range(2, 8))
    for source, target, length in zip(found["source"], found["target"], found["source_length"], strict=True):
        translated = target[: list(target).index(translation.EOS_ID)] - translation.FIRST_WORD_ID
        expected = [int(w) for w in (source[:length] - translation.FIRST_WORD_ID + 1) % 5]
        for place in range(0, length - 1, 2):
            expected[place], expected[place + 1] = expected[place + 1], expected[place]
        assert translated.tolist() == expected
        assert not source[length:].any()
        assert not target[length + 1 :].any()
    np.testing.assert_array_equal(found["target_length"], found["source_length"] + 1)


@pytest.mark.parametrize(
    ("call", "got"),
    [
        (lambda: translation.dates(0, 40_000), "40000"),
        (lambda: translation.two_rules(0, 1, (3, 2)), r"\(3, 2\) and 12"),
        (lambda: translation.two_rules(0, 1, (1, 2), num_words=1), r"\(1, 2\) and 1"),
    ],
)
def test_arguments_are_checked(call, got):
    with pytest.raises(ValueError, match=f"got {got}"):
        call()


def test_training_and_test_sentences_are_disjoint():
    tested = {2: translation.two_rules(2, 2, (2, 2), num_words=2, max_length=4)}
    drawn = translation.two_rules(0, 60, (2, 4), num_words=2)
    learned = translation.leave_out(tested.values(), drawn, 40)
    known, kept = ({tuple(row) for row in part["source"].tolist()} for part in (tested[2], learned))
    assert known <= {tuple(row) for row in drawn["source"].tolist()}
    assert not known & kept
    assert {name: len(rows) for name, rows in learned.items()} == dict.fromkeys(drawn, 40)
    assert any(length == 2 for length in learned["source_length"])
