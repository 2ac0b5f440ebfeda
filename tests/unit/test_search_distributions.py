from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweepyard.search.distributions import Categorical, canonical
from sweepyard.search.leaf import infer_distribution, make_distribution

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def kind(distribution, **leaf):
    return {"distribution": distribution, **leaf}


EXACT = [
    (kind("int_uniform", min=1, max=10), [1, 3, 5, 8, 9]),
    (kind("categorical", values=list("abcd")), list("aabcd")),
    (kind("categorical_w_probabilities", values=list("abc"), probabilities=[0.2, 0.3, 0.5]), list("abccc")),
    (kind("q_uniform", min=0, max=10, q=3), [0, 3, 6, 6, 9]),
    (kind("q_uniform", min=0, max=1, q=0.25), [0, 0.25, 0.5, 0.75, 1]),
    (kind("q_log_uniform", min=0, max=5, q=2), [2, 4, 12, 42, 90]),
    (kind("q_log_uniform_values", min=32, max=256, q=8), [40, 56, 88, 152, 208]),
    (kind("q_normal", mu=100, sigma=10, q=5), [85, 95, 100, 105, 115]),
    (kind("q_log_normal", mu=3, sigma=1, q=4), [4, 12, 20, 40, 72]),
    (kind("constant", value=None), [None] * 5),
]

ROUNDED = [
    (kind("uniform", min=0, max=2), "0.2 0.5 1.0 1.5 1.8"),
    (kind("log_uniform", min=-5, max=-1), "0.010052 0.018316 0.049787 0.135335 0.246597"),
    (kind("log_uniform_values", min=1e-5, max=1e-1), "2.5119e-5 1.0000e-4 1.0000e-3 1.0000e-2 0.039811"),
    (kind("inv_log_uniform", min=0, max=3), "0.067206 0.105399 0.223130 0.472367 0.740818"),
    (kind("inv_log_uniform_values", min=1e-3, max=1), "0.001995 0.005623 0.031623 0.177828 0.501187"),
    (kind("normal", mu=100, sigma=10), "87.184 93.255 100.000 106.745 112.816"),
    (kind("log_normal", mu=0, sigma=1), "0.277606 0.509416 1.000000 1.963031 3.602224"),
    (kind("beta", a=2, b=5), "0.092595 0.161163 0.264450 0.389479 0.510316"),
]

BOUNDED = [leaf for leaf, _ in (*EXACT, *ROUNDED) if "min" in leaf]


@pytest.mark.parametrize(("leaf", "values"), EXACT, ids=lambda item: str(item)[:50])
def test_values_are_those_of_wandb(leaf, values):
    distribution = make_distribution(leaf)

    assert [distribution.ppf(u) for u in QUANTILES] == values


@pytest.mark.parametrize(("leaf", "shown"), ROUNDED, ids=lambda item: str(item)[:50])
def test_numbers_are_those_of_wandb_to_the_last_digit_shown(leaf, shown):
    distribution = make_distribution(leaf)

    for u, text in zip(QUANTILES, shown.split(), strict=True):
        digits = text.partition("e")[0].partition(".")[2]
        half_a_digit = 0.5001 * 10.0 ** -len(digits) * float(f"1e{text.partition('e')[2] or 0}")
        assert distribution.ppf(u) == pytest.approx(float(text), abs=half_a_digit)


@pytest.mark.parametrize("leaf", [leaf for leaf, _ in (*EXACT, *ROUNDED)], ids=lambda leaf: leaf["distribution"])
@pytest.mark.parametrize("u", [0.0, 5e-324, 1.0, -0.5, 2.0, np.float64(0.3)])
def test_every_quantile_gives_a_plain_finite_value(leaf, u):
    value = make_distribution(leaf).ppf(u)

    assert type(value) in (int, float, str, type(None))
    assert not isinstance(value, float) or math.isfinite(value)


def test_ends_stay_inside_where_wandb_leaves_the_domain():
    assert make_distribution(kind("int_uniform", min=3, max=5)).ppf(0.0) == 3
    assert make_distribution(kind("categorical", values=["a", "b"])).ppf(0.0) == "a"
    weighted = kind("categorical_w_probabilities", values=["a", "b"], probabilities=[0.5, 0.5])
    assert make_distribution(weighted).ppf(1.0) == "b"
    assert make_distribution(kind("log_uniform_values", min=1e-5, max=0.1)).ppf(1.0) == 0.1
    assert make_distribution(kind("log_uniform_values", min=1e-5, max=0.1)).ppf(0.0) == 1e-5


def test_quantised_values_do_not_leave_the_bounds():
    distribution = make_distribution(kind("q_uniform", min=0, max=11, q=4))

    assert [distribution.value(i) for i in range(distribution.size())] == [0, 4, 8, 11]
    assert distribution.ppf(1.0) == 11


@pytest.mark.parametrize(
    ("leaf", "kind_of_value"),
    [
        (kind("q_uniform", min=16, max=128), int),
        (kind("q_uniform", min=16.0, max=128.0, q=1.0), int),
        (kind("q_uniform", min=16, max=128, q=8), int),
        (kind("q_uniform", min=0, max=1, q=0.5), float),
        (kind("q_uniform", min=0.5, max=8, q=1.0), float),
        (kind("q_normal", mu=1.5, sigma=3), int),
        (kind("q_beta", a=1, b=1, q=0.1), float),
        (kind("int_uniform", min=0, max=9), int),
        (kind("uniform", min=0, max=9), float),
    ],
    ids=str,
)
def test_whole_numbers_come_as_ints(leaf, kind_of_value):
    values = [make_distribution(leaf).ppf(u) for u in QUANTILES]

    assert {type(value) for value in values} == {kind_of_value}


def test_listed_twice_is_one_value_twice_as_likely():
    distribution = Categorical.of(["a", "b", "a"])

    assert distribution.size() == 2
    assert [distribution.ppf(u) for u in (0.1, 0.6, 0.7, 0.9)] == ["a", "a", "b", "b"]


def test_a_value_of_probability_zero_is_no_value():
    distribution = Categorical.of(["a", "b", "c"], [0.5, 0.0, 0.5])

    assert distribution.values == ("a", "c")
    assert [distribution.ppf(u) for u in (0.0, 0.5, 1.0)] == ["a", "c", "c"]


def test_no_spread_is_a_constant():
    for leaf in (kind("normal", mu=2, sigma=0), kind("q_normal", mu=2, sigma=0, q=1)):
        distribution = make_distribution(leaf)
        assert (distribution.size(), distribution.ppf(0.9)) == (1, 2)


def test_equal_values_have_equal_keys():
    assert canonical(1) == canonical(1.0)
    assert len({canonical(v) for v in (1, True, "1", "true", None, "null", (1,), [1.0], {"a": 1})}) == 9
    assert canonical({"a": 1, "b": 2}) == canonical({"b": 2, "a": 1})
    assert canonical(math.nan) == canonical(math.nan)


@pytest.mark.parametrize(
    ("leaf", "distribution"),
    [
        ({"value": None}, "constant"),
        ({"values": [1]}, "categorical"),
        ({"values": [1], "probabilities": [1]}, "categorical_w_probabilities"),
        ({"min": 1, "max": 2}, "int_uniform"),
        ({"min": 1.0, "max": 2.0}, "uniform"),
        ({"min": 1, "max": 2.0}, "uniform"),
        ({"min": 1, "max": 2, "distribution": "uniform"}, "uniform"),
    ],
    ids=str,
)
def test_inference(leaf, distribution):
    assert infer_distribution(leaf) == distribution


@pytest.mark.parametrize(
    "leaf",
    [{}, {"min": 1}, {"mu": 0, "sigma": 1}, {"min": 1, "max": 2, "q": 1}, {"value": 1, "values": [1]}],
    ids=str,
)
def test_what_cannot_be_inferred_says_what_to_write(leaf):
    with pytest.raises(ValueError, match="name a `distribution`"):
        infer_distribution(leaf)


def test_bad_leaves_are_explained():
    with pytest.raises(ValueError, match=r"no distribution 'unifrom'. Choose one of: .*uniform"):
        make_distribution(kind("unifrom", min=0, max=1))
    with pytest.raises(ValueError, match="uniform needs `max`"):
        make_distribution(kind("uniform", min=0))
    with pytest.raises(ValueError, match="`a` and `b` above 0"):
        make_distribution(kind("beta", a=0, b=1))


numbers = st.floats(-1e6, 1e6, allow_subnormal=False)
positives = st.floats(1e-6, 1e6)


@st.composite
def leaves(draw):
    """One parameter of any kind."""
    name = draw(
        st.sampled_from(
            ["uniform", "log_uniform", "log_uniform_values", "normal", "log_normal", "beta", "int_uniform"]
        )
    )
    between = {"uniform": numbers, "log_uniform": st.floats(-20, 10), "log_uniform_values": positives}
    if name == "int_uniform":
        low = draw(st.integers(-(10**9), 10**9))
        return kind(name, min=low, max=low + draw(st.integers(1, 10**9)))
    if name in between:
        low, high = sorted(draw(st.lists(between[name], min_size=2, max_size=2, unique_by=lambda x: round(x, 3))))
        leaf = kind(name, min=low, max=high)
    elif name == "beta":
        leaf = kind(name, a=draw(st.floats(0.5, 9)), b=draw(st.floats(0.5, 9)))
    else:
        leaf = kind(name, mu=draw(st.floats(-10, 10)), sigma=draw(st.floats(0.01, 10)))
    if draw(st.booleans()):
        leaf |= {"distribution": f"q_{name}", "q": draw(st.sampled_from([1, 1.0, 8, 0.1, 0.25]))}
    return leaf


def test_the_reverse_of_log_uniform_has_most_of_its_values_near_the_maximum():
    there = make_distribution(kind("reverse_log_uniform_values", min=1e-3, max=1))
    straight = make_distribution(kind("log_uniform_values", min=1e-3, max=1))

    assert (there.ppf(0), there.ppf(1)) == (1e-3, 1)
    assert there.ppf(0.5) == pytest.approx(1.001 - straight.ppf(0.5)) == pytest.approx(0.969377, abs=1e-6)
    assert there.cdf(there.ppf(0.3)) == pytest.approx(0.3)


@settings(deadline=None)
@given(leaves(), st.floats(0, 1))
def test_values_are_plain_and_inside_the_bounds(leaf, u):
    value = make_distribution(leaf).ppf(u)

    assert type(value) in (int, float)
    assert math.isfinite(value)
    if leaf["distribution"].endswith(("uniform", "uniform_values")):
        exponents = leaf["distribution"].endswith("log_uniform")
        low, high = (math.exp(leaf[key]) if exponents else leaf[key] for key in ("min", "max"))
        assert low <= value <= high


@settings(deadline=None)
@given(leaves(), st.floats(0.001, 0.999))
def test_the_quantile_of_a_value_gives_the_value(leaf, u):
    distribution = make_distribution(leaf)
    value = distribution.ppf(u)

    quantile = distribution.cdf(value)

    assert 0 <= quantile <= 1
    assert distribution.ppf(quantile) == pytest.approx(value, rel=1e-6, abs=1e-6 * leaf.get("sigma", 1))


@settings(deadline=None)
@given(st.integers(-(10**6), 10**6), st.integers(1, 3000), st.data())
def test_ints_survive_the_round_trip_exactly(low, count, data):
    distribution = make_distribution(kind("int_uniform", min=low, max=low + count))
    value = data.draw(st.integers(low, low + count))

    assert distribution.ppf(distribution.cdf(value)) == value


@settings(deadline=None)
@given(st.integers(-50, 50), st.integers(1, 60), st.sampled_from([1, 3, 4, 0.1, 0.5]))
def test_a_quantised_range_counts_what_it_can_give(low, width, q):
    distribution = make_distribution(kind("q_uniform", min=low, max=low + width, q=q))

    listed = [distribution.value(i) for i in range(distribution.size())]

    assert listed == sorted(set(listed))
    assert {distribution.ppf(u) for u in np.linspace(0, 1, 50)} <= set(listed)
    assert [distribution.ppf(distribution.cdf(value)) for value in listed] == listed


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.booleans(), st.integers(0, 3), st.sampled_from("ab"), st.none()), min_size=1), st.data()
)
def test_categories_survive_the_round_trip(values, data):
    weights = data.draw(st.one_of(st.none(), st.just([1 / len(values)] * len(values))))
    distribution = Categorical.of(values, weights)

    for value in distribution.values:
        assert canonical(distribution.ppf(distribution.cdf(value))) == canonical(value)
    with pytest.raises(ValueError, match="not in"):
        distribution.cdf("not listed")
