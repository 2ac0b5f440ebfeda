"""An agent on a real bus with real processes; the test plays the controller."""

from __future__ import annotations

import errno
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis

from sweepyard.agent import room, rundir
from sweepyard.agent.contact import Identity
from sweepyard.agent.launcher import Interrupted, Launcher, start_forker
from sweepyard.agent.pump import Limits, Pump
from sweepyard.agent.silence import LOOK_MOST_S
from sweepyard.agent.supervisor import Wish
from sweepyard.bus.agent_side import RedisAgentBus
from sweepyard.bus.controller_side import RedisControllerBus
from sweepyard.bus.keys import Keys
from sweepyard.bus.wire import (
    AttemptOrder,
    AttemptRef,
    Control,
    Ended,
    Left,
    Message,
    Offer,
    Presence,
    Report,
    Rows,
    Started,
)
from sweepyard.clock import SystemClock, wait_until
from sweepyard.errors import Unavailable, UserError

DEADLINE_S = 20.0
SWEEP = "sweep001"
PATIENCE_S = 600.0
"""No test waits as long as this, however busy the machine: a run that ends at SIGTERM is never killed for it."""
GRACE_S = {
    Wish.preempt: PATIENCE_S,
    Wish.stall: PATIENCE_S,
    Wish.stop: PATIENCE_S,
    Wish.kill: PATIENCE_S,
    Wish.drop: 0.0,
}

LOG_TWO = (
    "import sweepyard as s; s.init(); s.log({'loss': s.config.lr}); s.log({'loss': float('nan')}); print('bye')"
)
# In naps: a signal just before a long sleep is heard only after it.
SLEEP = "import sweepyard as s, time; s.init(); s.log({'up': 1})\nwhile True: time.sleep(0.05)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"


class ClockAhead(SystemClock):
    """The machine's clock, and as far ahead of it as a test wants."""

    ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


class FlakyBus(RedisAgentBus):
    """The real bus, with an outage that the test turns on."""

    out = False

    def exchange(self, messages: Any, presence: Presence) -> Control:
        if self.out:
            raise Unavailable("Redis at 127.0.0.1:1 does not answer: no route.")
        return super().exchange(messages, presence)


class Yard:
    """One agent in a thread, with the other end of its bus."""

    def __init__(self, redis_url: str, base: Path, agent_id: str = "a1") -> None:
        self.redis_url = redis_url
        self.base = base
        self.id = agent_id
        # An agent's thread that waits for offers outlives it by a while: no two may share a queue.
        self.prefix = f"sy-{secrets.token_hex(4)}"
        self.controller = RedisControllerBus(redis_url, self.prefix, bytes(32))
        self.bus = FlakyBus(redis_url, self.prefix, agent_id, bytes(32))
        self.said: list[str] = []
        self.seen: list[Message] = []
        self.code: int | None = None
        self.acks = True
        self.lives = True
        """Whether the controller looks around, as agents can tell by its pulse."""
        self.clock = ClockAhead()
        self._position = "0"

    def start(
        self, code: str = "", *, argv: Callable[[Offer, Path], list[str] | None] | None = None, **limits: Any
    ) -> None:
        """Let the agent run `python -c code` for each offer."""
        agent = Identity(
            id=self.id,
            host="h",
            version="0",
            sweep=SWEEP,
            project="p",
            entity="e",
            dir=self.base / "yard",
            checkpoint_root=self.base / "checkpoints",
        )
        self.limits = Limits(**{"heartbeat_s": 0.2, "grace_s": GRACE_S, **limits})
        self.pump = Pump(
            agent,
            self.bus,
            argv or (lambda *_: [sys.executable, "-c", code]),
            self.said.append,
            limits=self.limits,
            clock=self.clock,
        )
        self.link, self.forker = start_forker(None)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        self.code = self.pump.run(Launcher(self.link, self.pump.inbox.put))

    @property
    def runs(self) -> Path:
        """Where the agent keeps the folders of its runs."""
        return self.base / "yard" / "runs" / self.id

    def offer(
        self,
        run: str = "run00001",
        attempt: int = 1,
        params: Mapping[str, Any] | None = None,
        stall_after_s: float | None = None,
    ) -> AttemptRef:
        offer = Offer(
            sweep=SWEEP,
            run=run,
            number=1,
            attempt=attempt,
            name="n",
            params=dict(params or {"lr": 0.5}),
            stall_after_s=stall_after_s,
        )
        self.controller.offer(offer)
        return offer.ref

    def listen(self) -> None:
        """Read what arrived, and acknowledge it if the test wants that."""
        if self.lives:
            self.controller.intact()
        for position, message in self.controller.read(self._position, 0.02):
            self._position = position
            assert message is not None
            self.seen.append(message)
            if isinstance(message, Report) and self.acks:
                self.controller.tell(message.agent, acks={message.ref: message.seq})

    def until(self, condition: Callable[[], object]) -> None:
        """Listen until `condition` holds."""

        def listened() -> bool:
            self.listen()
            return bool(condition())

        assert wait_until(listened, DEADLINE_S, 0.0), (self.said, self.seen)

    def reports(self, ref: AttemptRef) -> list[Report]:
        return [m for m in self.seen if isinstance(m, Report) and m.ref == ref]

    def ended(self, ref: AttemptRef) -> Ended | None:
        bodies = [report.body for report in self.reports(ref)]
        return bodies[-1] if bodies and isinstance(bodies[-1], Ended) else None

    def rows(self, ref: AttemptRef) -> list[dict[str, Any]]:
        """Each row once, as the store would keep them."""
        bodies = {report.seq: report.body for report in self.reports(ref)}
        return [row.data for seq in sorted(bodies) if isinstance(body := bodies[seq], Rows) for row in body.rows]

    def run(self, run: str = "run00001", attempt: int = 1, *, stall_after_s: float | None = None) -> Ended:
        ref = self.offer(run, attempt, stall_after_s=stall_after_s)
        self.until(lambda: self.ended(ref))
        ended = self.ended(ref)
        assert ended is not None
        return ended

    def order(self, ref: AttemptRef, kind: Any, reason: str = "because") -> None:
        self.controller.tell(self.id, orders={ref: AttemptOrder(kind=kind, reason=reason)})

    def interrupt(self) -> None:
        self.pump.inbox.put(Interrupted("SIGTERM"))

    def join(self) -> int:
        self.until(lambda: self.code is not None)
        assert self.code is not None
        return self.code

    def left(self) -> str:
        self.until(lambda: isinstance(self.seen[-1], Left))
        last = self.seen[-1]
        assert isinstance(last, Left)
        return last.reason

    def close(self) -> None:
        if self.code is None:
            self.interrupt()
            self.interrupt()
            self._thread.join(DEADLINE_S)
        self.link.close()
        assert self.forker.wait(DEADLINE_S) == 0


@pytest.fixture
def yard(redis_url: str, tmp_path: Path) -> Iterator[Yard]:
    yard = Yard(redis_url, tmp_path)
    yield yard
    if hasattr(yard, "pump"):
        yard.close()


STALL_AFTER_S = 60.0


def runs_up(yard: Yard, ref: AttemptRef) -> Callable[[], bool]:
    return lambda: {"up": 1} in yard.rows(ref)


def grows(file: Path) -> bool:
    """Whether a file does, before long."""
    size = file.stat().st_size
    return wait_until(lambda: file.stat().st_size > size, DEADLINE_S, 0.01)


def test_one_run_walked(yard: Yard) -> None:
    yard.start(LOG_TWO)
    ended = yard.run()
    ref = AttemptRef("run00001", 1)
    assert (ended.outcome, ended.exit_code, ended.signal, ended.reason, ended.tail) == (
        "finished",
        0,
        None,
        "",
        "bye",
    )
    reports = yard.reports(ref)
    assert [report.seq for report in reports] == list(range(1, len(reports) + 1))
    assert isinstance(reports[0].body, Started)
    assert yard.rows(ref) == [{"loss": 0.5}, {"loss": "NaN"}]
    yard.until(lambda: not (yard.runs / str(ref)).exists())
    assert (yard.base / "yard" / "logs" / "run00001-1.log").read_text() == "bye\n"
    assert any("run #1 started: lr=0.5" in line for line in yard.said)


def test_presence_tells_what_the_agent_can_take(yard: Yard) -> None:
    yard.start(SLEEP)
    yard.until(lambda: yard.seen)
    first = yard.seen[0]
    assert isinstance(first, Presence)
    assert (first.free, first.running, first.sweep) == (1, [], SWEEP)
    ref = yard.offer()
    yard.until(runs_up(yard, ref))
    word = yard.controller.presence()[0]["a1"]
    assert (word.free, word.running) == (0, [str(ref)])
    yard.until(lambda: yard.controller.presence()[0]["a1"].beat > word.beat)
    yard.order(ref, "stop")
    yard.until(lambda: yard.ended(ref))
    at = next(n for n, m in enumerate(yard.seen) if isinstance(m, Report) and isinstance(m.body, Ended))
    ready = yard.seen[at + 1]
    assert isinstance(ready, Presence)
    assert ready.free == 1, "the end of a run and the free slot are one message"


def test_one_run_after_the_other(yard: Yard) -> None:
    yard.start(LOG_TWO, count=4)
    refs = [yard.offer(f"run0000{n}") for n in range(5)]
    assert yard.join() == 0
    assert [bool(yard.ended(ref)) for ref in refs] == [True] * 4 + [False]
    assert yard.left() == "it was started for 4 runs"
    assert yard.controller.waiting(SWEEP) == {refs[4]}
    assert yard.controller.presence()[0] == {}


def test_what_is_done_is_not_done_again(yard: Yard) -> None:
    """A Redis that restarts without its last seconds offers once more what was taken in them."""
    yard.start(LOG_TWO)
    done = yard.offer()
    yard.until(lambda: yard.ended(done))
    reports = len(yard.reports(done))
    yard.until(lambda: not (yard.runs / str(done)).exists())
    assert yard.offer() == done
    assert yard.run("run00002").outcome == "finished"
    assert len(yard.reports(done)) == reports


def test_two_agents_of_one_folder_do_not_disturb_each_other(yard: Yard, redis_url: str) -> None:
    """They may execute the same attempt, when Redis offers it once more: each has a spool of its own."""
    yard.start(SLEEP)
    ref = yard.offer()
    yard.until(runs_up(yard, ref))
    other = Yard(redis_url, yard.base, "a2")
    other.start(LOG_TWO)
    assert other.run().outcome == "finished"
    other.close()
    yard.order(ref, "stop")
    yard.until(lambda: yard.ended(ref))
    assert {"up": 1} in yard.rows(ref)
    assert {"loss": 0.5} not in yard.rows(ref)


FAILURES = [
    ("raise ValueError('boom')", 1, None, "ValueError: boom"),
    ("import sys; sys.exit(3)", 3, None, "exited with code 3"),
    ("import os; os.kill(os.getpid(), 9)", None, 9, "killed by signal 9 (SIGKILL; out of memory?)"),
    ("import sweepyard as s; s.init(); s.finish(5)", 0, None, "the code called finish(exit_code=5)"),
]


@pytest.mark.parametrize(("code", "exit_code", "number", "reason"), FAILURES, ids=[case[3] for case in FAILURES])
def test_failures_are_explained(
    yard: Yard, code: str, exit_code: int | None, number: int | None, reason: str
) -> None:
    yard.start(code)
    ended = yard.run()
    assert (ended.outcome, ended.exit_code, ended.signal, ended.reason) == ("failed", exit_code, number, reason)


@pytest.mark.parametrize(
    ("code", "grace_s", "kind", "outcome", "number"),
    [
        (SLEEP, PATIENCE_S, "stop", "stopped", None),
        (SLEEP, PATIENCE_S, "kill", "killed", None),
        (STUBBORN, 0.1, "kill", "killed", signal.SIGKILL),
    ],
)
def test_orders_end_a_run(
    yard: Yard, code: str, grace_s: float, kind: str, outcome: str, number: int | None
) -> None:
    yard.start(code, grace_s={**GRACE_S, Wish.kill: grace_s})
    ref = yard.offer()
    yard.until(runs_up(yard, ref))
    yard.order(ref, kind, "0.71 < 0.78")
    yard.until(lambda: yard.ended(ref))
    ended = yard.ended(ref)
    assert ended is not None
    assert (ended.outcome, ended.signal, ended.reason) == (outcome, number, "0.71 < 0.78")


@pytest.mark.parametrize(("code", "number"), [(SLEEP, None), (STUBBORN, signal.SIGKILL)])
def test_a_run_that_logs_nothing_for_too_long_is_ended(yard: Yard, code: str, number: int | None) -> None:
    """By the test's clock: however slowly it begins, it is up before its time is over."""
    yard.start(f"print('epoch 3'); {code}", grace_s={**GRACE_S, Wish.stall: 0.1 if number else PATIENCE_S})
    ref = yard.offer(stall_after_s=STALL_AFTER_S)
    yard.until(runs_up(yard, ref))

    def is_ended() -> bool:
        if not (yard.runs / str(ref) / rundir.STOP).exists():
            yard.clock.ahead_s += LOOK_MOST_S
        return yard.ended(ref) is not None

    yard.until(is_ended)
    ended = yard.ended(ref)
    assert ended is not None
    assert (ended.outcome, ended.signal) == ("failed", number)
    assert ended.reason.startswith("stalled: it logged nothing for 60 s, so it was ended; see the last lines")
    assert ended.tail.startswith("epoch 3")
    assert yard.run("run00002", stall_after_s=0.5).reason.startswith("stalled: "), "also one that never logs"


@pytest.mark.parametrize("out", [False, True])
def test_a_run_that_goes_on_logging_is_not_stalled(yard: Yard, out: bool) -> None:
    """Nor does an outage make it so: silence is counted beside the run."""
    go = "while not s.should_stop(): s.log({'up': 1}); time.sleep(0.05)"
    yard.start(f"import sweepyard as s, time; s.init()\n{go}")
    ref = yard.offer(stall_after_s=STALL_AFTER_S)
    yard.until(runs_up(yard, ref))
    yard.bus.out = out
    for _ in range(4 * int(STALL_AFTER_S / LOOK_MOST_S)):
        assert grows(yard.runs / str(ref) / rundir.SPOOL)
        yard.clock.ahead_s += LOOK_MOST_S
    yard.bus.out = False
    yard.until(lambda: not out or "the service can be reached again" in yard.said)
    yard.order(ref, "stop")
    yard.until(lambda: yard.ended(ref))
    ended = yard.ended(ref)
    assert ended is not None
    assert ended.outcome == "stopped"


def test_an_order_arrives_without_waiting_for_a_heartbeat(yard: Yard) -> None:
    yard.start(SLEEP, heartbeat_s=PATIENCE_S)
    ref = yard.offer()
    yard.until(runs_up(yard, ref))
    yard.order(ref, "stop")
    yard.until(lambda: yard.ended(ref))


def test_a_dropped_run_is_killed_and_not_mentioned_again(yard: Yard) -> None:
    yard.start(STUBBORN)
    ref = yard.offer()
    yard.until(runs_up(yard, ref))
    yard.order(ref, "drop", "attempt 2 has begun")
    yard.until(lambda: yard.controller.presence()[0]["a1"].free == 1)
    assert yard.ended(ref) is None
    yard.until(lambda: yard.controller.presence()[0]["a1"].running == [])
    other = yard.offer("run00002")
    yard.until(runs_up(yard, other))


def test_without_acknowledgement_everything_is_sent_again(yard: Yard) -> None:
    yard.acks = False
    yard.start(LOG_TWO)
    ref = yard.offer()
    yard.until(lambda: [report.seq for report in yard.reports(ref)].count(1) == 2)
    yard.until(lambda: sum(isinstance(report.body, Ended) for report in yard.reports(ref)) == 2)
    once = {report.seq: report for report in reversed(yard.reports(ref))}
    again = yard.reports(ref)[-len(once) :]
    assert again == [once[seq] for seq in sorted(once)]
    assert (yard.runs / str(ref)).exists()
    yard.controller.tell("a1", acks={ref: again[-1].seq})
    yard.until(lambda: not (yard.runs / str(ref)).exists())


def test_an_outage_loses_nothing_and_stops_nothing(yard: Yard) -> None:
    yard.start("import sweepyard as s; s.init(); [s.log({'n': n}) for n in range(1000)]", count=1)
    yard.until(lambda: yard.seen)
    ref = yard.offer()
    yard.bus.out = True
    yard.until(lambda: any("run #1 finished" in line for line in yard.said))
    yard.listen()
    assert yard.reports(ref) == []
    yard.bus.out = False
    assert yard.join() == 0
    assert yard.rows(ref) == [{"n": n} for n in range(1000)]
    outages = [line for line in yard.said if "does not answer" in line]
    assert len(outages) == 1
    assert "the service can be reached again" in yard.said


def test_without_contact_for_long_the_run_is_handed_back_and_nothing_lost(yard: Yard) -> None:
    yard.start(SLEEP)
    ref = yard.offer()
    yard.until(runs_up(yard, ref))
    yard.bus.out = True
    yard.until(lambda: any("goes on for up to 900 s" in line for line in yard.said))
    yard.clock.ahead_s += 901
    yard.until(lambda: any("run #1 preempted" in line for line in yard.said))
    assert any("the controller was not heard for 900 s: this agent hands back" in line for line in yard.said)
    assert (yard.runs / str(ref) / "spool.jsonl").exists()
    assert yard.ended(ref) is None
    yard.bus.out = False
    yard.until(lambda: yard.ended(ref))
    ended = yard.ended(ref)
    assert ended is not None
    assert (ended.outcome, ended.reason) == ("preempted", "no contact with the service for 900 s")
    yard.until(lambda: "the controller is heard again" in yard.said)
    other = yard.offer("run00002")
    yard.until(runs_up(yard, other))


def test_a_short_silence_costs_nothing(yard: Yard) -> None:
    yard.start(SLEEP)
    ref = yard.offer()
    yard.until(runs_up(yard, ref))
    yard.bus.out = True
    yard.until(lambda: any("goes on for up to 900 s" in line for line in yard.said))
    yard.clock.ahead_s += 600
    yard.bus.out = False
    yard.until(lambda: "the service can be reached again" in yard.said)
    yard.order(ref, "stop")
    yard.until(lambda: yard.ended(ref))
    ended = yard.ended(ref)
    assert ended is not None
    assert ended.outcome == "stopped"


def test_a_silent_controller_is_no_contact_although_redis_answers(yard: Yard) -> None:
    yard.start(SLEEP)
    ref = yard.offer()
    yard.until(runs_up(yard, ref))
    yard.lives = False
    word = yard.controller.presence()[0]["a1"]
    yard.until(lambda: yard.controller.presence()[0]["a1"].beat > word.beat)  # it has heard the last pulse
    yard.clock.ahead_s += 31
    yard.until(lambda: any("the controller was not heard for 30 s. Training goes on" in s for s in yard.said))
    yard.clock.ahead_s += 901
    yard.until(lambda: any("run #1 preempted" in line for line in yard.said))
    # What is in the queue stays there for others.
    other = yard.offer("run00002")
    yard.until(lambda: yard.controller.presence()[0]["a1"].free == 0)
    yard.until(lambda: yard.controller.waiting(SWEEP) == {other})
    yard.lives = True
    yard.until(runs_up(yard, other))


def test_drained_it_hands_its_run_back_and_leaves(yard: Yard) -> None:
    yard.start(SLEEP, wait=True)
    ref = yard.offer()
    yard.until(runs_up(yard, ref))
    yard.controller.tell("a1", words={"drain": "drained: asked for by the user"})
    assert yard.join() == 0
    ended = yard.ended(ref)
    assert ended is not None
    assert (ended.outcome, ended.reason) == ("preempted", "its agent was drained: asked for by the user")
    assert yard.left() == "drained: asked for by the user"


def test_stopped_it_leaves_when_its_run_has_ended(yard: Yard) -> None:
    yard.start(SLEEP, wait=True)
    ref = yard.offer()
    yard.until(runs_up(yard, ref))
    yard.controller.tell("a1", words={"stop": "stopped: asked for by the user"})
    yard.until(lambda: "this agent ends: stopped: asked for by the user" in yard.said)
    assert yard.ended(ref) is None
    yard.order(ref, "stop")
    assert yard.join() == 0


def test_who_is_told_to_wait_leaves_offers_to_others(yard: Yard) -> None:
    yard.start(SLEEP)
    yard.until(lambda: yard.seen)
    yard.controller.tell("a1", words={"wait": "it is told to wait"})
    yard.until(lambda: "waiting: it is told to wait" in yard.said)
    ref = yard.offer()
    yard.controller.tell("a1", words={"wait": ""})
    yard.until(runs_up(yard, ref))


def test_a_flushed_redis_loses_nothing(yard: Yard) -> None:
    yard.acks = False
    yard.start(LOG_TWO)
    ref = yard.offer()
    yard.until(lambda: yard.ended(ref))
    with redis.Redis.from_url(yard.redis_url) as client:
        client.flushall()
    yard.seen.clear()
    yard._position = "0"
    yard.acks = True
    yard.until(lambda: yard.ended(ref))
    assert yard.rows(ref) == [{"loss": 0.5}, {"loss": "NaN"}]


def test_interrupted_it_gives_its_run_back(yard: Yard) -> None:
    yard.start(SLEEP)
    ref = yard.offer()
    yard.until(runs_up(yard, ref))
    yard.interrupt()
    assert yard.join() == 0
    ended = yard.ended(ref)
    assert ended is not None
    assert (ended.outcome, ended.reason) == ("preempted", "its agent was told to end by SIGTERM")
    assert yard.left() == "told to end by SIGTERM"
    assert yard.controller.presence()[0] == {}


def test_interrupted_twice_it_does_not_wait(yard: Yard) -> None:
    yard.start(STUBBORN)
    ref = yard.offer()
    yard.until(runs_up(yard, ref))
    yard.interrupt()
    yard.interrupt()
    assert yard.join() == 0
    ended = yard.ended(ref)
    assert ended is not None
    assert (ended.outcome, ended.signal) == ("preempted", signal.SIGKILL)


def test_a_stopped_run_stays_stopped_when_the_agent_leaves(yard: Yard) -> None:
    yard.start(STUBBORN)
    ref = yard.offer()
    yard.until(runs_up(yard, ref))
    yard.order(ref, "stop", "enough")
    yard.until(lambda: (yard.runs / str(ref) / "stop").exists())
    yard.interrupt()
    yard.interrupt()
    assert yard.join() == 0
    ended = yard.ended(ref)
    assert ended is not None
    assert (ended.outcome, ended.reason) == ("stopped", "enough")


def test_told_to_leave_it_finishes_its_run_first(yard: Yard) -> None:
    yard.start(
        "import sweepyard as s, time; s.init(); s.log({'up': 1})\nwhile not s.should_stop(): time.sleep(0.01)"
    )
    ref = yard.offer()
    yard.until(runs_up(yard, ref))
    yard.controller.tell("a1", words={"exit": "sweep sweep001 is finished: run_cap reached"})
    yard.until(lambda: any("this agent ends: sweep sweep001 is finished" in line for line in yard.said))
    assert yard.code is None
    yard.order(ref, "stop")
    assert yard.join() == 0
    assert yard.left() == "sweep sweep001 is finished: run_cap reached"


def test_results_are_confirmed_before_it_leaves(yard: Yard) -> None:
    yard.acks = False
    yard.start(LOG_TWO, count=1)
    ref = yard.offer()
    yard.until(lambda: yard.ended(ref))
    yard.until(lambda: [m.free for m in yard.controller.presence()[0].values()] == [0])
    assert yard.code is None
    yard.controller.tell("a1", acks={ref: yard.reports(ref)[-1].seq})
    assert yard.join() == 0


def test_it_gives_up_when_its_first_runs_all_fail(yard: Yard) -> None:
    yard.start("raise ValueError('boom')", max_initial_failures=3)
    refs = [yard.offer(f"run0000{n}") for n in range(4)]
    assert yard.join() == 1
    assert [bool(yard.ended(ref)) for ref in refs] == [True] * 3 + [False]
    assert yard.left() == "its first 3 runs have all failed, the last with: ValueError: boom"
    assert yard.controller.waiting(SWEEP) == {refs[3]}


def test_one_good_run_ends_that_guard(yard: Yard) -> None:
    yard.start("import sweepyard as s; s.init(); assert s.config.lr == 1", max_initial_failures=2, count=4)
    for n, lr in enumerate((0, 1, 0, 0)):
        ref = yard.offer(f"run0000{n}", params={"lr": lr})
        yard.until(lambda ref=ref: yard.ended(ref))
    assert yard.join() == 0


def test_an_offer_that_cannot_be_expanded_goes_back(yard: Yard) -> None:
    def refuse(_offer: Offer, _dir: Path) -> list[str]:
        raise UserError("command: unknown macro ${nosuch}")

    yard.start(argv=refuse)
    ref = yard.offer()
    assert yard.join() == 2
    assert yard.reports(ref) == []
    assert yard.controller.waiting(SWEEP) == {ref}
    assert any("unknown macro ${nosuch}" in line for line in yard.said)


def test_when_the_forker_dies_runs_go_back(yard: Yard) -> None:
    yard.start(SLEEP)
    ref = yard.offer()
    yard.until(runs_up(yard, ref))
    yard.forker.kill()
    assert yard.join() == 1
    ended = yard.ended(ref)
    assert ended is not None
    assert ended.outcome == "preempted"
    yard.forker.wait()
    yard.forker.returncode = 0


def test_a_preempted_run_goes_on_from_what_it_has_saved(yard: Yard, redis_url: str) -> None:
    code = (
        "import os, pathlib, time, sweepyard as s; s.init(); place = s.checkpoint_dir()\n"
        "assert str(place) == os.environ['SWEEPYARD_CHECKPOINT_DIR']\n"
        "saved = place / 'epoch'; epoch = int(saved.read_text()) if saved.exists() else 0\n"
        "saved.write_text(str(epoch + 1)); s.log({'epoch': epoch})\n"
        "while not epoch: time.sleep(0.05)"
    )
    yard.start(code, checkpoint_keep_s=1000.0)
    ref = yard.offer()
    yard.until(lambda: yard.rows(ref))
    yard.interrupt()
    yard.join()
    assert [path.name for path in (yard.base / "checkpoints" / SWEEP / ref.run).iterdir()] == ["1-a1"]
    heir = Yard(redis_url, yard.base, "a2")
    heir.start(code, checkpoint_keep_s=0.0)
    ended = heir.run(attempt=2)
    assert ended.outcome == "finished", ended.tail
    assert heir.rows(AttemptRef(ref.run, 2)) == [{"epoch": 1}]
    heir.close()
    assert list((yard.base / "checkpoints").iterdir()) == []


def test_keys_are_gone_when_the_agent_is(yard: Yard) -> None:
    yard.start(LOG_TWO, count=1)
    yard.run()
    yard.join()
    with redis.Redis.from_url(yard.redis_url) as client:
        assert not client.keys(Keys(yard.prefix).agent("a1", 0)[:-1] + "*")


def test_without_room_on_the_disk_an_agent_waits(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """No run is begun that could not be recorded, and none is lost: another agent may take it meanwhile."""
    full = True

    def at_times(act: Callable[..., Any]) -> Callable[..., Any]:
        def acted(*args: Any, **options: Any) -> Any:
            if full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return act(*args, **options)

        return acted

    monkeypatch.setattr(rundir, "prepare", at_times(rundir.prepare))
    monkeypatch.setattr(room.tempfile, "TemporaryFile", at_times(room.tempfile.TemporaryFile))
    yard.start(LOG_TWO)
    ref = yard.offer()
    yard.until(lambda: yard.controller.waiting(SWEEP) == {ref} and yard.controller.presence()[0]["a1"].free == 0)
    assert [line for line in yard.said if "no room for a run in" in line] == yard.said
    assert not (yard.runs / str(ref)).exists()
    full = False
    yard.until(lambda: yard.ended(ref))
    assert "there is room again" in yard.said
