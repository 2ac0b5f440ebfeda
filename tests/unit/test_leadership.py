"""When a standby takes over, and when it must not; its store and its clock are the test's."""

from __future__ import annotations

import pytest

from sweepyard.clock import SystemClock
from sweepyard.controller.engine import Engine
from sweepyard.controller.leadership import Leadership, Seat
from sweepyard.errors import Unavailable
from sweepyard.tracking.records import Leader

LOST_AFTER_S = 12.0
LOOK_S = 1.0


class Taken(Exception):
    """It has taken over."""


class Clock(SystemClock):
    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


class Store:
    """A store whose leader beats each other second, unless `stands_still`. A question is `slow_s` on its way, an
    answer `late_s`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._beat = 0
        self.stands_still = False
        self.slow_s = self.late_s = 0.0

    def leader(self) -> Leader:
        self._clock.now_s += self.slow_s
        if not self.stands_still:
            self._beat = int(self._clock.now_s / 2)
        answer = Leader(epoch=1, name="http://other", home="elsewhere", beat=self._beat)
        self._clock.now_s += self.late_s
        return answer

    def take_over(self, **_: object) -> int:
        raise Taken


class Watching:
    """A standby, look by look."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = Store(self.clock)
        self.redis_trouble = ""
        seat = Seat(name="", home="here", is_alone=False, shares_redis=True, epoch_elsewhere=self._ask_redis)
        self.leadership = Leadership(
            self.store,  # type: ignore[arg-type]
            seat,
            _no_engine,
            lambda _: None,
            lost_after_s=LOST_AFTER_S,
            clock=self.clock,
        )

    def _ask_redis(self) -> int:
        if self.redis_trouble:
            raise Unavailable(self.redis_trouble)
        return 0

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            self.clock.now_s += LOOK_S
            self.leadership._look()


def _no_engine(_epoch: int) -> Engine:
    raise AssertionError("never asked for")


def test_a_leader_that_stands_still_is_followed_after_two_thirds_of_the_time() -> None:
    watching = Watching()
    watching.look(30)
    watching.store.stands_still = True
    watching.look(7)
    with pytest.raises(Taken):
        watching.look(2)


@pytest.mark.parametrize("before", [2, 3], ids=["news", "no news"])
@pytest.mark.parametrize(("slow_s", "late_s"), [(20, 0), (0, 20), (999, 999), (20.5, 0), (0, 20.5)])
def test_an_answer_that_was_long_on_its_way_does_not_make_the_leader_silent(
    before: int, slow_s: float, late_s: float
) -> None:
    """Its link to the store hangs, half open, and comes back: the leader has beaten all the time."""
    watching = Watching()
    watching.look(before)
    watching.store.slow_s, watching.store.late_s = slow_s, late_s
    watching.look()
    watching.store.slow_s = watching.store.late_s = 0
    watching.look(30)


def test_a_silence_goes_on_over_a_link_that_hangs() -> None:
    """What it sees afterwards is what it saw before: the leader was silent all the time."""
    watching = Watching()
    watching.look(3)
    watching.store.stands_still = True
    watching.store.late_s = LOST_AFTER_S
    watching.look()
    watching.store.late_s = 0
    with pytest.raises(Taken):
        watching.look()


def test_without_redis_it_says_so_and_does_not_take_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    watching = Watching()
    watching.redis_trouble = "Redis at host:6379 does not answer."
    watching.store.stands_still = True
    watching.look(30)
    assert watching.leadership.redis_trouble == watching.redis_trouble
    said = [record.message for record in caplog.records if "can not take over" in record.message]
    assert said == ["Redis at host:6379 does not answer. Without it this service can not take over."]
    watching.redis_trouble = ""
    with pytest.raises(Taken):
        watching.look()
    assert "Redis answers again" in caplog.messages
