"""The loader of sweep files: YAML 1.2 values, places, refusals, caps."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from time import thread_time
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sweepyard.controller.yamlfile import MAX_BYTES, MAX_NODES, Place, dotted, from_python, load, read_text
from sweepyard.errors import SpecError, UserError
from sweepyard.plain import dumps

VALUES = [
    ("1e-5", 1e-5),
    ("1E5", 1e5),
    ("1.", 1.0),
    (".5", 0.5),
    ("-3", -3),
    ("+3", 3),
    ("010", 10),
    ("008", 8),
    ("0o17", 15),
    ("0xFF", 255),
    ("1_000", "1_000"),
    ("12:30:45", "12:30:45"),
    ("2024-01-02", "2024-01-02"),
    ("yes", "yes"),
    ("off", "off"),
    ("n", "n"),
    ("true", True),
    ("False", False),
    ("null", None),
    ("~", None),
    ("", None),
    ("'1'", "1"),
    ('"true"', "true"),
    ('"\\u00e9"', "é"),
    ("!!float 1", 1.0),
    ("!!float '1e-5'", 1e-5),
    ("!!str 5", "5"),
    ("!!int 5", 5),
    ("=", "="),
    ("[1, [2]]", [1, [2]]),
    ("{a: 1}", {"a": 1}),
]


@pytest.mark.parametrize(("text", "value"), VALUES, ids=[text or "nothing" for text, _ in VALUES])
def test_values_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = load(f"k: {text}").value["k"]
    assert found == value
    assert type(found) is type(value)


def test_keys_are_text_as_written() -> None:
    assert load("1: a\ntrue: b\non: c\nnull: d\n1.50: e").value == {
        "1": "a",
        "true": "b",
        "on": "c",
        "null": "d",
        "1.50": "e",
    }


def test_every_node_has_its_place() -> None:
    document = load("a:\n  b: 1\n  c: [x, y]\nd: {e: 2}\n")
    assert document.where[("a", "b")] == Place(2, 6)
    assert document.keys[("a", "b")] == Place(2, 3)
    assert document.where[("a", "c", 1)] == Place(3, 10)
    assert document.where[("d", "e")] == Place(4, 8)


def test_a_block_that_begins_below_its_key_is_shown_at_the_key() -> None:
    document = load("a:\n  b: 1\nc: {d: 1}")
    assert document.place(("a",)) == Place(1, 1)
    assert document.place(("c",)) == Place(3, 4)


def test_what_is_not_there_is_shown_at_what_it_would_be_in() -> None:
    document = load("a:\n  b:\n    c: 1\n")
    assert document.place(("a", "b", "x", "y")) == Place(2, 3)
    assert document.key_place(("z",)) == Place(1, 1)


def test_columns_count_characters_not_bytes() -> None:
    assert load("é: {ü: 1}").keys[("é", "ü")] == Place(1, 5)


def test_dotted() -> None:
    assert dotted(("parameters", "lr", "values", 2)) == "parameters.lr.values[2]"
    assert len(dotted(("x" * 10_000,))) < 200


REFUSED = [
    ("a: 1\na: 2", 2, "a: written twice, first on line 1"),
    ("p:\n  x: {b: 1, b: 2}", 2, "p.x.b: written twice"),
    ('a: 1\n"a": 2', 2, "a: written twice"),
    ("a: &x 1\nb: *x", 1, "anchors (&x)"),
    ("a: *x", 1, "aliases (*x)"),
    ("*x : 1", 1, "aliases (*x)"),
    ("a: 1\n<<: {b: 2}", 2, "merge keys (<<)"),
    ("a: !!python/object/apply:os.system [ls]", 1, "the tag tag:yaml.org,2002:python/object"),
    ("a: !!set {b}", 1, "the tag"),
    ("a: !mine 3", 1, "the tag !mine"),
    ("a: ! 3", 1, "the tag !"),
    ("a: !!timestamp 2024-01-01", 1, "the tag"),
    ("a: !!int 1.5", 1, "'1.5' is not a YAML int"),
    ("a: !!float x", 1, "'x' is not a YAML float"),
    ("!!str a: 1", 1, "a key must be plain text"),
    ("[a, b]: 1", 1, "a key must be plain text"),
    ("? {a: b}\n: 1", 1, "a key must be plain text"),
    ("a: .inf", 1, ".inf is not a finite number"),
    ("a: [1, -.INF]", 1, "a[1]: -.INF is not a finite number"),
    ("a: .nan", 1, "not a finite number"),
    ("a: 1e999", 1, "not a finite number"),
    ("a: 99999999999999999999", 1, "more than 64 bits"),
    ("a: " + "9" * 5000, 1, "a number of 5,000 characters"),
    ('a: "\\0"', 1, "NUL"),
    ("a: 1\n---\nb: 2", 2, "a second document"),
    ("a: b: c", 1, "quotes around a text that contains ': '"),
    ("a: 1\n\tb: 2", 2, "tab"),
    ("a: [1, 2", 1, "a '[' is never closed"),
    ("a: {b: 1", 1, "a '{' is never closed"),
    ('a: "x', 1, "a quote that was opened is never closed"),
    ("- a\nb: 1", 2, "a list item"),
    ("a:\n  - 1\n b: 2", 3, "indented"),
    ("a: @x", 1, "needs quotes"),
    ("a: %x", 1, "needs quotes"),
    ('a: "\\ud83d"', 1, "write the character itself"),
    ("a: \0", 0, "not YAML"),
    ("a: \ud800", 1, "lone surrogate"),
]


@pytest.mark.parametrize(("text", "line", "said"), REFUSED, ids=[repr(text[:20]) for text, _, _ in REFUSED])
def test_refusals_say_what_and_where(text: str, line: int, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(text)
    [problem] = caught.value.problems
    assert problem.line == line
    assert said in f"{problem.path}: {problem.message}"
    assert len(str(caught.value)) < 500


ATTACKS = {
    "billion laughs": "a: &a [x,x]\n" + "".join(f"b{i}: &b{i} [*a,*a]\n" for i in range(9)),
    "open brackets": "[" * 200_000,
    "nested lists": "a: " + "[" * 100 + "]" * 100,
    "nested maps": "a: " + "{a: " * 100 + "1" + "}" * 100,
    "nested blocks": "".join(" " * i + "a:\n" for i in range(100)),
    "nested dashes": "- " * 1000 + "x",
    "many keys": "".join(f"k{i}: 1\n" for i in range(20_000)),
    "many items": "a: [" + "1," * 100_000 + "1]",
    "many parameters": "parameters:\n" + "".join(f"  p{i}: {{value: 1}}\n" for i in range(11_000)),
    "too many bytes": "a: " + "x" * MAX_BYTES,
    "many bytes of quotes": "'" * 300_000,
    "long comment": "#" * 300_000 + "\na: 1",
    "long key": "k" * 200_000 + ": 1",
    "explicit keys": "? " * 5000 + "x",
    "colons": "a" + ":" * 100_000 + " &",
    "tags": "a: " + "!!str " * 10_000 + "x",
    "anchors": "".join(f"k{i}: &a{i} 1\n" for i in range(10_000)),
    "documents": "---\n" * 10_000,
    "directives": "%YAML 1.1\n" * 10_000 + "---\na: 1",
    "duplicate keys": "a: 1\n" * 10_000,
    "digits": "a: " + "9" * 250_000,
    "hex digits": "a: 0x" + "f" * 250_000,
}


def cpu_s(text: str) -> float:
    """What reading `text` costs this thread: the least of three, so that a busy machine does not matter."""
    times = []
    for _ in range(3):
        started = thread_time()
        with suppress(SpecError):
            load(text)
        times.append(thread_time() - started)
    return min(times)


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_are_refused_and_cost_no_more_than_a_large_file(name: str) -> None:
    if name == "hex digits":
        assert isinstance(load(ATTACKS[name]).value["a"], str)
    else:
        with pytest.raises(SpecError) as caught:
            load(ATTACKS[name])
        assert len(str(caught.value)) < 500
    honest = "".join(f"k{i}: {i}.5\n" for i in range(4900))  # nearly all the nodes that a file may have
    assert cpu_s(ATTACKS[name]) < 3 * cpu_s(honest)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_before_it_is_read_to_its_end(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more of the parser's events are taken than a file of the allowed size has."""
    taken = 0

    def counted(*args: Any, **kwargs: Any) -> Iterator[Any]:
        nonlocal taken
        for event in parse(*args, **kwargs):
            taken += 1
            yield event

    parse = yaml.parse
    monkeypatch.setattr(yaml, "parse", counted)
    with suppress(SpecError):
        load(ATTACKS[name])
    assert taken <= 2 * MAX_NODES + 4


def test_attacks_need_little_memory(tmp_path: Path) -> None:
    for index, text in enumerate(ATTACKS.values()):
        (tmp_path / f"{index}.yaml").write_text(text)
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from sweepyard.controller.yamlfile import load; from sweepyard.errors import SpecError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for path in Path(sys.argv[1]).iterdir():\n"
        "    try: load(path.read_text())\n"
        "    except SpecError: pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    grown_kib = int(subprocess.check_output([sys.executable, "-c", code, str(tmp_path)], text=True))
    unit = 1 if sys.platform == "linux" else 1024
    assert grown_kib / unit < 50 * 1024


PYTHON_REFUSED = [
    ({"a": {1, 2}}, "a: a set cannot stand here"),
    ({"a": [print]}, "a[0]: a builtin_function_or_method cannot"),
    ({"a": date(2024, 1, 1)}, "a: a date cannot"),
    ({1: 2}, "key 1 is not text"),
    ({"a": {None: 2}}, "a: key None is not text"),
    ({"a": float("nan")}, "a: this is not a finite number"),
    ({"a": float("inf")}, "not a finite number"),
    ({"a": 2**63}, "64 bits"),
    ({"a": 10**5000}, "64 bits"),
    ({"a": "\0"}, "NUL"),
    ({"a": "\ud800"}, "surrogate"),
    ({"\0": 1}, "NUL"),
    ({"a": b"x"}, "a bytes cannot"),
    ({"a": list(range(20_000))}, "more than 10,000 nodes"),
]


@pytest.mark.parametrize(("value", "said"), PYTHON_REFUSED)
def test_python_values_that_json_lacks_are_refused(value: object, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        from_python(value)
    assert said in str(caught.value)


def test_python_values_become_plain() -> None:
    given_value = {"a": (1, np.float32(0.5)), "b": np.arange(3), "c": np.bool_(True), "d": None}
    assert from_python(given_value).value == {"a": [1, 0.5], "b": [0, 1, 2], "c": True, "d": None}


def test_a_python_value_within_itself_is_refused() -> None:
    loop: dict[str, object] = {}
    loop["a"] = loop
    with pytest.raises(SpecError, match="32 levels"):
        from_python(loop)


def test_an_object_that_is_never_a_list_is_refused() -> None:
    class Endless:
        def tolist(self) -> Endless:
            return self

    with pytest.raises(SpecError, match="Endless"):
        from_python({"a": Endless()})


_names = st.text("abcdefgh é_:#'\"\n", min_size=1)
_numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_json = st.recursive(
    st.none() | st.booleans() | _numbers | _names,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(_names, _json))
def test_json_is_read_as_json(value: dict[str, object]) -> None:
    assert load(dumps(value)).value == value


def test_json_s_escaped_pairs_are_characters() -> None:
    value = {"🧹": "a\\🧹", "b": ["\\ud83e", "é"]}
    assert load(json.dumps(value)).value == value
    with pytest.raises(SpecError, match="instead of half of a"):
        load(r'{"a": "\ud83e"}')


@given(st.text(max_size=80))
def test_any_text_gives_a_document_or_an_explained_error(text: str) -> None:
    with suppress(SpecError):
        load(text)


class TestReadText:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"There is no file .*nope\.yaml"):
            read_text(tmp_path / "nope.yaml")

    def test_directory(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="is a folder"):
            read_text(tmp_path)

    def test_nul_in_the_path(self) -> None:
        with pytest.raises(UserError, match="cannot read it"):
            read_text("a\0b")

    def test_not_utf_8(self, tmp_path: Path) -> None:
        path = tmp_path / "a.yaml"
        path.write_bytes("a: é".encode("latin-1"))
        with pytest.raises(UserError, match=r"byte 4 is not UTF-8"):
            read_text(path)

    def test_byte_order_mark(self, tmp_path: Path) -> None:
        path = tmp_path / "a.yaml"
        path.write_bytes("a: 1".encode("utf-8-sig"))
        assert load(read_text(path)).value == {"a": 1}

    def test_huge_file_is_not_read(self, tmp_path: Path) -> None:
        path = tmp_path / "a.yaml"
        with path.open("wb") as file:
            file.truncate(10 * 2**30)
        with pytest.raises(SpecError):
            load(read_text(path))
