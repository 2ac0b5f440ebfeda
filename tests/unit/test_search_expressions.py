from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweepyard.search.expressions import MAX_LENGTH, ExpressionError, Undefined, parse

NAMES = {
    "a": 3,
    "b": 2.5,
    "name": "adam",
    "on": True,
    "off": False,
    "opt.lr": 0.1,
    "weight-decay": 0.01,
    "n": None,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 3 - 2", 5),
        ("2 ** 3 ** 2", 512),
        ("-2 ** 2", -4),
        ("2 ** -1", 0.5),
        ("--3", 3),
        ("7 // 2", 3),
        ("7 / 2", 3.5),
        ("-7 % 3", 2),
        (".5e1 + 1.", 6.0),
        ("a * 4", 12),
        ("opt.lr * 10", 1.0),
        ("`weight-decay` * 100", 1.0),
        ("1 < a <= 3 < 4", True),
        ("1 < a < 3", False),
        ("a == 3.0", True),
        ("on == 1", False),
        ("n == null", True),
        ("n != None", False),
        ("name == 'adam'", True),
        ('name != "adam"', False),
        ("name in ['sgd', 'adam']", True),
        ("name in ('sgd', 'adam',)", True),
        ("name in ('adam',)", True),
        ("name in []", False),
        ("a not in [1, 2]", True),
        ("not on", False),
        ("not not on", True),
        ("on and not off or off", True),
        ("off or on and off", False),
        ("not a == 3", False),
        ("'a' < 'b'", True),
        ("[1, 'x'] == [1, 'x']", True),
        ("min(a, b, 9)", 2.5),
        ("max(a, 1)", 3),
        ("abs(-a)", 3),
        ("log(exp(2))", 2.0),
        ("log(8, 2)", 3.0),
        ("round(2.6)", 3),
        ("round(2.567, 1)", 2.6),
        ("round(b * 4)", 10),
        ("true", True),
        ("'x'", "x"),
    ],
)
def test_values(text, value):
    found = parse(text).value(NAMES)

    assert found == pytest.approx(value) if isinstance(value, float) else (found == value)
    assert type(found) is type(value)


def test_and_and_or_look_no_further_than_they_must():
    assert parse("on or 1 / 0 > 1").holds(NAMES)
    assert not parse("off and missing").holds(NAMES)


def test_names_are_collected():
    assert parse("min(a, opt.lr) < `weight-decay` and true").names == {"a", "opt.lr", "weight-decay"}
    with pytest.raises(Undefined, match="momentum"):
        parse("momentum < 1").value(NAMES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "character 1: expected a value, but it ends there"),
        ("a *", "character 4: expected a value, but it ends there"),
        ("a * * 2", "character 5: expected a value, not '*'"),
        ("a = 3", "character 3, '=', is not understood; to compare, write =="),
        ("a b", "character 3: expected an operator or the end, not 'b'"),
        ("(a", r"character 3: expected '\)', but it ends there"),
        ("a not 3", "character 7: expected 'in', not '3'"),
        ("a.b()", "there is no function 'a.b'"),
        ("open('x')", "character 1: there is no function 'open'; there are min, max, abs, log, exp, round"),
        ("abs()", "abs does not take 0 values"),
        ("round(1, 2, 3)", "round does not take 3 values"),
        ("a[0]", r"character 2: expected an operator or the end, not '\['"),
        ("a.__class__.x()", "there is no function"),
        ("lambda: 1", "character 7, ':', is not understood"),
        ("'abc", r"character 1, \"'\", is not understood"),
        ("9" * 30, "too big a number"),
        ("1e999", "too big a number"),
        ("(" * 30 + "1" + ")" * 30, "nested more than 20 levels"),
        ("2 ** " * 30 + "1", "nested more than 20 levels"),
        ("1 + " * 200 + "1", f"801 characters, more than {MAX_LENGTH}"),
    ],
)
def test_what_cannot_be_read(text, said):
    with pytest.raises(ExpressionError, match=said):
        parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / (a - 3)", r"1 / \(a - 3\): / divides by zero"),
        ("1 % 0", "% divides by zero"),
        ("name * 2", "needs numbers, not 'adam'"),
        ("on + 1", "needs numbers, not True"),
        ("name < 3", "cannot tell which of 'adam' and 3 is larger"),
        ("a and on", "3 is neither true nor false"),
        ("a in 'abc'", "in needs a list"),
        ("log(0)", "log of 0 has no value"),
        ("exp(1000)", "exp of 1000 has no value"),
        ("10 ** 100 ** 1", "has no value"),
        ("9 ** 9 ** 9", "has no value"),
        ("(0 - 8) ** 0.5", "no number"),
        ("1e308 * 10", "too big"),
        ("2 ** 62 * 4", "too big"),
        ("round(1.5, 0.5)", "has no value"),
    ],
)
def test_what_cannot_be_computed(text, said):
    with pytest.raises(ExpressionError, match=said):
        parse(text).value(NAMES)


def test_a_condition_is_true_or_false():
    with pytest.raises(ExpressionError, match="a: is 3, neither true nor false"):
        parse("a").holds(NAMES)


numbers = st.integers(-99, 99).map(str) | st.floats(0, 99, allow_subnormal=False).map(repr)
arithmetic = st.recursive(
    numbers | st.sampled_from(["a", "b"]),
    lambda inner: (
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner).map(" ".join).map("({})".format)
        | inner.map("-{}".format)
        | st.tuples(inner, inner).map(lambda two: f"max({two[0]}, min({two[1]}, 5), abs({two[0]}))")
    ),
    max_leaves=8,
)
truths = st.recursive(
    st.tuples(arithmetic, st.sampled_from(["<", "<=", "==", "!=", ">", ">="]), arithmetic).map(" ".join)
    | st.sampled_from(["on", "off", "name == 'adam'", "a in [1, 3]"]),
    lambda inner: (
        st.tuples(inner, st.sampled_from([" and ", " or "]), inner).map("".join) | inner.map("not ({})".format)
    ),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(truths | arithmetic)
def test_it_agrees_with_python_where_both_have_a_value(text):
    names = {"a": 3, "b": 2.5, "name": "adam", "on": True, "off": False}
    try:
        found = parse(text).value(names)
    except ExpressionError:
        return
    expected = eval(text, {"max": max, "min": min, "abs": abs}, names)
    assert found == expected
    assert type(found) is type(expected)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                *"()[],<+-*%/ab1'`.= ",
                "**",
                "and ",
                "or ",
                "not ",
                "in ",
                "min(",
                "round(",
                "9e9",
                "1e308",
                "null",
                "é",
            ]
        )
        | st.text(max_size=3),
        max_size=25,
    ).map("".join)
)
def test_any_text_has_a_plain_value_or_an_explanation(text):
    try:
        value = parse(text).value({"a": 7, "b": "x", "ab": [1]})
    except (ExpressionError, Undefined):
        return
    json.dumps(value, allow_nan=False)
    assert not isinstance(value, float) or math.isfinite(value)
