"""A searcher that misbehaves at its second suggestion, in the way that the constant `how` of its space names."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from sweepyard.search.port import Suggestion, created

POINTS = 10


@dataclass
class Asked:
    """`good`: what a well-behaved searcher would answer."""

    good: Suggestion
    history: list[Any]
    pending: list[Any]


class Hostile:
    """Of the points x = 0, 1, ... of a space of ten, the first that no run has: `point 0`, `point 1`, ..."""

    def __init__(self, space, objective, seed):
        self.how = next(each.distribution.ppf(0.5) for each in space.parameters if each.name == "how")

    def size(self):
        return POINTS

    def suggest(self, history, pending, n):
        assert [run.params["x"] for run in history] == [9], "not what it was told first"
        k, taken = created(history, pending), [params["x"] for params in pending]
        x = next(x for x in range(POINTS) if x not in taken)
        good = Suggestion(params={"x": x, "how": self.how}, reason=f"point {k}")
        return WAYS[self.how](Asked(good, history, pending)) if k == 1 else [good]


WAYS: dict[str, Callable[[Asked], Any]] = {}


def way(behaviour):
    WAYS[behaviour.__name__] = behaviour
    return behaviour


@way
def raises(asked):
    raise RuntimeError("out of ideas")


@way
def raises_what_cannot_be_copied(asked):
    raise RuntimeError("holding a lock", threading.Lock(), lambda: 0)


@way
def raises_what_has_no_words(asked):
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    raise Mute


@way
def raises_a_megabyte(asked):
    raise RuntimeError("x" * 2**20)


@way
def raises_what_no_store_holds(asked):
    raise RuntimeError("NUL \0, half a pair \ud800")


@way
def hangs_and_so_does_its_child(asked):
    os.fork()
    time.sleep(600)


@way
def dies(asked):
    os._exit(3)


@way
def is_killed(asked):
    os.kill(os.getpid(), signal.SIGKILL)


@way
def calls_itself_for_ever(asked):
    return calls_itself_for_ever(asked)


@way
def wants_a_petabyte(asked):
    return bytearray(2**50)


@way
def writes_into_every_descriptor(asked):
    for descriptor in range(3, 64):
        with suppress(OSError):
            os.write(descriptor, b"nonsense\n")
    return [asked.good]


def point(name, **params):
    """A way that differs in what it suggests."""

    def behaviour(asked):
        return [replace(asked.good, params=asked.good.params | params)]

    WAYS[name] = behaviour


point("outside", x=99)
point("twice", x=0)
point("nan", x=float("nan"))
point("infinity", x=float("inf"))
point("text", x="1")
point("bool", x=True)
point("list", x=[1])
point("huge", x=10**400)
point("extra", y=1)


@way
def missing(asked):
    return [replace(asked.good, params={"how": asked.good.params["how"]})]


@way
def no_names(asked):
    return [replace(asked.good, params={0: 1})]


@way
def no_mapping(asked):
    return [replace(asked.good, params=[1])]


@way
def too_few(asked):
    return []


@way
def too_many(asked):
    return [asked.good] * 2


@way
def nothing(asked):
    return None


@way
def no_list(asked):
    return iter([asked.good])


@way
def no_suggestion(asked):
    return [asked.good.params]


@way
def a_detail_that_holds_itself(asked):
    detail: dict[str, Any] = {}
    detail["self"] = detail
    return [replace(asked.good, detail=detail)]


# What follows is odd, and the point counts all the same.


@way
def forgets_what_it_was_told(asked):
    for run in asked.history:
        run.params["x"] = POINTS + 1
    asked.history.clear()
    asked.pending.append({"x": 5})
    return [asked.good]


@way
def gives_no_reason(asked):
    return [replace(asked.good, reason=" ")]


@way
def gives_no_text_as_reason(asked):
    return [replace(asked.good, reason=object())]


@way
def gives_a_megabyte_of_reasons(asked):
    return [replace(asked.good, reason="point 1 " + "x" * 2**20)]


@way
def gives_a_reason_that_no_store_holds(asked):
    return [replace(asked.good, reason="point 1 \0 \ud800")]


@way
def gives_a_megabyte_of_detail(asked):
    return [replace(asked.good, detail={"x": "x" * 2**20})]


@way
def gives_an_object_as_detail(asked):
    return [replace(asked.good, detail=object())]


@way
def gives_objects_in_its_detail(asked):
    return [replace(asked.good, detail={"lock": threading.Lock(), "nan": float("nan"), 5: {6}})]
