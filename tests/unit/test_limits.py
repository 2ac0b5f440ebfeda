"""Meters: how often one of many callers is let through."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sweepyard.controller.limits import Meter, caller_at


def test_a_burst_and_then_the_rate() -> None:
    meter = Meter(2.0, 3)
    assert [meter.take("a", 0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert meter.wait_s("a", 0.25) == 0.25
    assert [meter.take("a", 0.5), meter.take("a", 0.5)] == [0.0, 0.5]
    assert meter.take("b", 0.0) == 0.0
    assert [meter.take("a", 100.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


@settings(max_examples=50)
@given(st.lists(st.floats(0, 3), min_size=1, max_size=100), st.integers(1, 5), st.integers(1, 8))
def test_never_more_than_burst_and_rate_allow(pauses: list[float], rate: int, burst: int) -> None:
    meter, now, let_in = Meter(rate, burst), 0.0, list[float]()
    for pause in pauses:
        now += pause
        wait_s = meter.take("a", now)
        if not wait_s:
            let_in.append(now)
        else:
            assert meter.wait_s("a", now + wait_s) < 1e-9  # who waits as long as told is let in
    for i, first in enumerate(let_in):
        for j in range(i, len(let_in)):
            assert j - i + 1 <= burst + rate * (let_in[j] - first) + 1e-6


def test_memory_is_bounded_and_the_oldest_is_forgotten() -> None:
    meter = Meter(1.0, 1, most=100)
    for n in range(10_000):
        meter.take(str(n), 0.0)
    assert len(meter._full_at) == 100
    assert meter.wait_s("9999", 0.0) == 1.0
    assert meter.wait_s("0", 0.0) == 0.0


def test_a_machine_with_many_addresses_is_one_caller() -> None:
    assert caller_at("2001:db8::1") == caller_at("2001:db8::ffff") != caller_at("2001:db8:0:1::1")
    assert caller_at("10.0.0.1") != caller_at("10.0.0.2")
    assert caller_at("not an address") == "not an address"
