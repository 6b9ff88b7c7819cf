"""Made translations: dates are the days that they say, and the language follows its two rules."""

import numpy as np
import pytest

from jaxdl.data.sources import translation

WRITTEN = (
    *("3 march 2009", "march 3, 2009", "march 3rd, 2009", "the 3rd of march, 2009", "tuesday, 3 march 2009"),
    *("tuesday the 3rd of march 2009", "mar. 3, 2009", "3 mar '09", "tuesday, mar 3 2009", "3.3.2009", "03/03/09"),
    "2009, march 3",
)


def test_a_day_is_written_in_every_form():
    day = np.datetime64("2009-03-03")
    assert tuple(translation.write_date(day, form) for form in translation.FORMS) == WRITTEN
    ordinals = [translation.write_date(np.datetime64("2010-01-01") + n, "{ordinal}") for n in range(31)]
    assert ordinals[:4] == ["1st", "2nd", "3rd", "4th"]
    assert ordinals[10:13] == ["11th", "12th", "13th"]
    assert ordinals[20:24] == ["21st", "22nd", "23rd", "24th"]
    assert ordinals[29:] == ["30th", "31st"]


def test_days_differ_and_a_seed_says_them_all():
    pairs = translation.dates(3, 600)
    assert pairs == translation.dates(3, 600)
    assert pairs != translation.dates(4, 600)
    days = [np.datetime64(day) for _, day in pairs]
    assert len(set(days)) == 600
    for (written, _), day in zip(pairs, days, strict=True):
        assert written in [translation.write_date(day, form) for form in translation.FORMS]


def test_sentences_follow_the_two_rules():
    found = translation.two_rules(1, 50, (2, 7), words=5, longest=9)
    assert found["source"].shape == (50, 9)
    assert set(found["source_length"]) == set(range(2, 8))
    for source, target, length in zip(found["source"], found["target"], found["source_length"], strict=True):
        said = target[: list(target).index(translation.END)] - translation.WORD
        meant = [int(w) for w in (source[:length] - translation.WORD + 1) % 5]
        for place in range(0, length - 1, 2):
            meant[place], meant[place + 1] = meant[place + 1], meant[place]
        assert said.tolist() == meant
        assert not source[length:].any()
        assert not target[length + 1 :].any()
    np.testing.assert_array_equal(found["target_length"], found["source_length"] + 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: translation.dates(0, 40_000), "36525 different days; asked for 40000"),
        (lambda: translation.two_rules(0, 1, (3, 2)), "rising"),
        (lambda: translation.two_rules(0, 1, (1, 2), words=1), "at least 2"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
