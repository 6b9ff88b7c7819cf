import numpy as np
import pytest
from scipy import stats

from experiments.harness.claims import interval, judge


def test_the_interval_is_students():
    samples = np.random.default_rng(0).normal(size=20)
    mean, low, high = interval(samples)
    expected = stats.ttest_1samp(samples, 0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((expected.low, expected.high))
    assert mean == pytest.approx(samples.mean())


@pytest.mark.parametrize(
    ("samples", "verdict"),
    [
        ([1.0, 1.1, 0.9, 1.2], "reproduced"),
        ([1.0, -1.1, 0.9, -1.2], "not reproduced"),
        ([-1.0, -1.1, -0.9], "not reproduced"),
        ([5.0], "not reproduced"),
        ([1.0, np.nan, 1.0], "not reproduced"),
    ],
)
def test_a_claim_is_reproduced_where_the_whole_interval_lies_above(samples, verdict):
    assert judge(1, "a is larger than b", "a - b", samples).verdict == verdict
