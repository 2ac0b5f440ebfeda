"""The reconciler without threads: a step at a time, on a clock of the test's."""

from __future__ import annotations

from contextlib import suppress

import pytest
import redis

from sweepyard.bus.agent_side import RedisAgentBus
from sweepyard.bus.controller_side import RedisControllerBus
from sweepyard.bus.wire import Ended, Message, Presence, Report, Rows, Started
from sweepyard.controller.ledger import Ledger
from sweepyard.controller.proposals import Answer, Question
from sweepyard.controller.reconciler import READ_ON_S, Reconciler
from sweepyard.controller.telling import Effects
from sweepyard.search.port import Suggestion
from sweepyard.tracking.records import Attempt, AttemptState, Outcome, Run, RunState, Sweep, SweepState
from sweepyard.tracking.sql import SqlStore

LOST_AFTER_S = 15.0
SPEC = {
    "method": "random",
    "run_cap": 1,
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {"lr": {"distribution": "uniform", "min": 0.0, "max": 1.0}},
}
COSTLY = {key: SPEC[key] for key in ("metric", "parameters")} | {"method": "bayes"}


class TickingClock:
    """Moves on by `tick_s` whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.tick_s = 0.0

    def monotonic(self) -> float:
        self.now += self.tick_s
        return self.now

    wall = monotonic


@pytest.mark.parametrize("head_start_s", [x / 4 for x in range(8)])
def test_a_silent_agent_is_lost_wherever_in_a_step_its_time_is_up(
    store: SqlStore, redis_url: str, head_start_s: float
) -> None:
    clock, epoch = TickingClock(), store.take_over()
    reconciler = Reconciler(
        store, RedisControllerBus(redis_url, "sy-test", bytes(32)), clock, lost_after_s=LOST_AFTER_S
    )
    sweep = Sweep(id="sweep001", entity="e", project="p", name="", spec=SPEC, seed=1)
    with store.transaction(epoch) as tx:
        tx.add_sweep(sweep)
        reconciler.add(Ledger.new(sweep))
        word = Presence(sweep=sweep.id, agent="a1", host="h", pid=1, version="0", beat=1, free=1)
        reconciler.take_messages(tx, [("1-0", word)], Effects())
        reconciler.plan(tx, Effects())
    (run,) = store.runs(sweep.id)
    with store.transaction(epoch) as tx:
        started = Report(sweep=sweep.id, run=run.id, attempt=1, agent="a1", seq=1, body=Started(host="h", pid=2))
        reconciler.take_messages(tx, [("2-0", started)], Effects())

    clock.now += LOST_AFTER_S - 1 + head_start_s
    clock.tick_s = 0.25
    for _ in range(3):
        reconciler.look_around()
        with store.transaction(epoch) as tx:
            reconciler.plan(tx, Effects())
    assert [attempt.state for attempt in store.attempts(run.key)] == [AttemptState.lost, AttemptState.offered]
    assert [agent.state for agent in store.agents(sweep.id)] == ["lost"]


def test_an_offer_that_has_waited_long_is_not_missed_as_soon_as_it_is_taken(
    store: SqlStore, redis_url: str
) -> None:
    clock, epoch = TickingClock(), store.take_over()
    bus = RedisControllerBus(redis_url, "sy-test", bytes(32))
    reconciler = Reconciler(store, bus, clock, lost_after_s=LOST_AFTER_S)
    sweep = Sweep(id="sweep001", entity="e", project="p", name="", spec=SPEC, seed=1)
    effects = Effects()
    with store.transaction(epoch) as tx:
        tx.add_sweep(sweep)
        reconciler.add(Ledger.new(sweep))
        word = Presence(sweep=sweep.id, agent="a1", host="h", pid=1, version="0", beat=1, free=1)
        reconciler.take_messages(tx, [("1-0", word)], Effects())
        reconciler.plan(tx, effects)
    reconciler.finds_redis_intact()
    reconciler.act(effects, lambda _: None)

    def states_after(pause_s: float, looks: int = 1) -> list[AttemptState]:
        for _ in range(looks):
            clock.now += pause_s / looks
            reconciler.look_around()
        with store.transaction(epoch) as tx:
            reconciler.plan(tx, Effects())
        return [attempt.state for attempt in store.attempts(store.runs(sweep.id)[0].key)]

    assert states_after(10 * LOST_AFTER_S) == [AttemptState.offered]
    bus.withdraw(sweep.id, list(effects.offers))  # an agent takes it, and is slow
    # While nobody looks, as while the store is away, nobody can read that it was started.
    assert states_after(10 * LOST_AFTER_S) == [AttemptState.offered]
    assert states_after(LOST_AFTER_S - 2, looks=int(LOST_AFTER_S)) == [AttemptState.offered]
    assert states_after(2, looks=2) == [AttemptState.lost, AttemptState.offered]


def test_an_attempt_of_a_cancelled_sweep_is_settled_after_a_restart(store: SqlStore, redis_url: str) -> None:
    """Its agent was killed before it could obey, and the controller before it noticed."""
    clock, epoch = TickingClock(), store.take_over()
    sweep = Sweep(id="sweep001", entity="e", project="p", name="", spec=SPEC, seed=1, state=SweepState.cancelled)
    with store.transaction(epoch) as tx:
        tx.add_sweep(sweep)
        run = tx.add_run(
            Run(
                id="run00001",
                sweep_id=sweep.id,
                number=1,
                params={"lr": 0.5},
                reason="drawn",
                state=RunState.running,
                order="kill",
                order_reason="the sweep was cancelled",
            )
        )
        tx.add_attempt(Attempt(run_key=run.key, n=1, state=AttemptState.running, agent_id="gone"))
    reconciler = Reconciler(
        store, RedisControllerBus(redis_url, "sy-test", bytes(32)), clock, lost_after_s=LOST_AFTER_S
    )
    reconciler.load()
    reconciler.look_around()
    clock.now += LOST_AFTER_S + 1
    reconciler.look_around()
    with store.transaction(epoch) as tx:
        reconciler.plan(tx, Effects())
    settled = store.run(sweep.id, 1)
    assert settled is not None
    assert (settled.state, settled.state_reason) == (RunState.killed, "the sweep was cancelled")


def test_a_start_reads_what_is_spoken_of_first_and_nothing_of_what_has_ended(
    store: SqlStore, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = {"sweep001": SweepState.finished, "sweep002": SweepState.running, "sweep003": SweepState.running}
    clock, epoch = TickingClock(), store.take_over()
    with store.transaction(epoch) as tx:
        for id, state in states.items():
            tx.add_sweep(Sweep(id=id, entity="e", project="p", name="", spec=SPEC, seed=1, state=state))
    read: list[str] = []
    curves = store.curves
    monkeypatch.setattr(store, "curves", lambda sweep_id, **how: read.append(sweep_id) or curves(sweep_id, **how))
    reconciler = Reconciler(
        store, RedisControllerBus(redis_url, "sy-test", bytes(32)), clock, lost_after_s=LOST_AFTER_S
    )
    reconciler.load()
    assert (read, reconciler.is_reading) == ([], True)
    effects = Effects()
    with store.transaction(epoch) as tx:
        word = Presence(sweep="sweep002", agent="a1", host="h", pid=1, version="0", beat=1, free=1)
        reconciler.take_messages(tx, [("1-0", word)], effects)
        reconciler.plan(tx, effects)
    assert [offer.sweep for offer in effects.offers.values()] == read == ["sweep002"]
    reconciler.look_around()
    assert (read, reconciler.is_reading) == (["sweep002", "sweep003"], False)


def test_a_long_past_is_read_bit_by_bit(store: SqlStore, redis_url: str) -> None:
    clock, epoch = TickingClock(), store.take_over()
    with store.transaction(epoch) as tx:
        for n in range(3):
            tx.add_sweep(Sweep(id=f"sweep00{n}", entity="e", project="p", name="", spec=SPEC, seed=1))
    reconciler = Reconciler(
        store, RedisControllerBus(redis_url, "sy-test", bytes(32)), clock, lost_after_s=LOST_AFTER_S
    )
    reconciler.load()
    clock.tick_s = READ_ON_S * 0.6  # each sweep takes longer than half of the time that there is
    looks = 0
    while reconciler.is_reading:
        looks += 1
        reconciler.look_around()
    assert looks == 3


class Floor:
    """A sweep with a costly searcher whose agents are all busy."""

    def __init__(self, store: SqlStore, redis_url: str, agents: int) -> None:
        self.store, self.epoch = store, store.take_over()
        bus = RedisControllerBus(redis_url, "sy-test", bytes(32))
        self.reconciler = Reconciler(store, bus, TickingClock(), lost_after_s=LOST_AFTER_S)
        self.sweep = Sweep(id="sweep001", entity="e", project="p", name="", spec=COSTLY, seed=1)
        self.questions: list[Question] = []
        self.position = 0
        with store.transaction(self.epoch) as tx:
            tx.add_sweep(self.sweep)
            self.reconciler.add(Ledger.new(self.sweep))
        self.agents = [f"a{i}" for i in range(agents)]
        self.step(*(self.free(name) for name in self.agents))
        for name in self.agents:
            self.answer()
            self.start(name)

    def step(self, *messages: Message, answer: Answer | None = None) -> None:
        effects = Effects()
        with self.store.transaction(self.epoch) as tx:
            if messages:
                self.position += 1
                told = [(f"{self.position}-{i}", message) for i, message in enumerate(messages)]
                self.reconciler.take_messages(tx, told, effects)
            if answer is not None:
                self.reconciler.take_answer(tx, answer)
            self.reconciler.plan(tx, effects)
        self.reconciler.act(effects, self.questions.append)

    def answer(self) -> None:
        question = self.questions.pop()
        point = {"lr": question.created / 1000}
        detail = {"cost_ms": 1.0, "unseen": 0}
        self.step(answer=question.answered([Suggestion(params=point, reason="because", detail=detail)]))

    def free(self, name: str) -> Presence:
        return Presence(sweep=self.sweep.id, agent=name, host="h", pid=1, version="0", beat=self.position, free=1)

    def start(self, name: str) -> None:
        """The newest run, by this agent."""
        self.step(self._report(self.runs()[-1], name, 1, Started(host="h", pid=1)))

    def end(self, name: str, run: Run) -> None:
        """The agent reports the end, and in the same breath that it is free."""
        ended = self._report(run, name, 2, Ended(outcome=Outcome.finished))
        self.step(ended, self.free(name))

    def runs(self) -> list[Run]:
        return self.store.runs(self.sweep.id)

    def _report(self, run: Run, name: str, seq: int, body: Started | Ended) -> Report:
        return Report(sweep=self.sweep.id, run=run.id, attempt=1, agent=name, seq=seq, body=body)


def test_with_many_agents_a_suggestion_is_ready_and_says_what_it_has_missed(
    store: SqlStore, redis_url: str
) -> None:
    floor = Floor(store, redis_url, agents=16)
    assert [run.reason for run in floor.runs()] == ["because"] * 16
    assert [question.waiting for question in floor.questions] == [False]
    floor.answer()
    assert len(floor.runs()) == 16
    assert floor.questions == []
    floor.end("a0", floor.runs()[0])
    taken = floor.runs()[-1]
    assert (taken.number, taken.detail["unseen"]) == (17, 1)
    assert taken.reason == "because; asked for before the last result came in"
    assert [(each.waiting, len(each.history)) for each in floor.questions] == [(False, 1)]


def test_with_few_agents_a_suggestion_is_asked_for_when_one_is_free(store: SqlStore, redis_url: str) -> None:
    floor = Floor(store, redis_url, agents=3)
    assert floor.questions == []
    floor.end("a0", floor.runs()[0])
    assert len(floor.runs()) == 3
    assert [(each.waiting, len(each.history)) for each in floor.questions] == [(True, 1)]
    floor.answer()
    assert (floor.runs()[-1].reason, floor.runs()[-1].detail["unseen"]) == ("because", 0)


class Post:
    """An agent on the bus, and a reconciler that takes in what was sent when the test says so."""

    def __init__(self, store: SqlStore, redis_url: str) -> None:
        self.store, self.epoch = store, store.take_over()
        self.bus = RedisControllerBus(redis_url, "sy-test", bytes(32))
        self.agent = RedisAgentBus(redis_url, "sy-test", "a1", bytes(32))
        self.clock = TickingClock()
        self.reconciler = Reconciler(store, self.bus, self.clock, lost_after_s=LOST_AFTER_S)
        self.sweep = Sweep(id="sweep001", entity="e", project="p", name="", spec={**SPEC, "run_cap": 9}, seed=1)
        self.beat = 0
        self.seqs: dict[int, int] = {}
        with store.transaction(self.epoch) as tx:
            tx.add_sweep(self.sweep)
            self.reconciler.add(Ledger.new(self.sweep))

    def send(self, free: int, number: int = 0, body: Started | Rows | Ended | None = None) -> None:
        """So many slots are free; and, in the same breath, news of a run."""
        reports = []
        if body is not None:
            run, seq = self.runs()[number - 1], self.seqs.setdefault(number, 0) + 1
            self.seqs[number] = seq
            reports = [Report(sweep=run.sweep_id, run=run.id, attempt=1, agent="a1", seq=seq, body=body)]
        self.beat += 1
        word = Presence(sweep=self.sweep.id, agent="a1", host="h", pid=1, version="0", beat=self.beat, free=free)
        self.agent.exchange(reports, word)

    def look(self) -> list[RunState]:
        """States of all runs after a look around, which reads no message."""
        self.reconciler.look_around()
        return self.plan()

    def plan(self) -> list[RunState]:
        with self.store.transaction(self.epoch) as tx:
            self.reconciler.plan(tx, Effects())
        return [run.state for run in self.runs()]

    def take(self, most: int = 100) -> list[RunState]:
        """States of all runs after so many messages."""
        messages = self.bus.read(self.reconciler.position, 0.05)[:most]
        with self.store.transaction(self.epoch) as tx:
            self.reconciler.take_messages(tx, messages, Effects())
            self.reconciler.plan(tx, Effects())
        return [run.state for run in self.runs()]

    def runs(self) -> list[Run]:
        return self.store.runs(self.sweep.id)


@pytest.fixture
def post(store: SqlStore, redis_url: str) -> Post:
    """Its one agent executes the first run."""
    post = Post(store, redis_url)
    post.send(1)
    assert post.look() == [RunState.pending]
    post.send(0, 1, Started(host="h", pid=2))
    assert post.take() == post.look() == [RunState.running]
    return post


ENDED = Ended(outcome=Outcome.finished)


def test_while_the_store_keeps_a_step_waiting_nobody_falls_silent(post: Post) -> None:
    post.reconciler.look_around()
    post.clock.now += 10 * LOST_AFTER_S
    assert post.plan() == [RunState.running]
    post.send(0)
    assert post.look() == [RunState.running]


def test_a_slot_is_not_filled_before_the_result_that_freed_it_is_known(post: Post) -> None:
    post.send(1, 1, ENDED)
    assert post.look() == [RunState.running]
    assert post.take() == [RunState.finished, RunState.pending]


def test_where_messages_never_cease_free_slots_are_found_all_the_same(post: Post) -> None:
    post.send(1, 1, Rows())
    assert post.look() == [RunState.running]
    post.send(1, 1, Rows())
    assert post.look() == [RunState.running]
    assert post.take(1) == [RunState.running, RunState.pending]


def test_an_older_look_does_not_free_a_slot_that_was_filled_since(post: Post) -> None:
    post.send(2)
    assert post.look() == [RunState.running, RunState.pending, RunState.pending]
    post.send(3, 1, ENDED)
    post.look()
    post.send(2, 2, Started(host="h", pid=3))
    assert post.take() == [RunState.finished, RunState.running, RunState.pending, RunState.pending]


def test_nobody_waits_for_messages_that_redis_has_lost(post: Post, redis_url: str) -> None:
    post.send(1, 1, Rows())
    assert post.look() == [RunState.running]
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    assert post.look() == [RunState.running]
    post.send(1)
    assert post.look() == [RunState.running, RunState.pending]


def test_a_slot_that_was_counted_in_vain_is_counted_again(post: Post) -> None:
    """The transaction that took in a result has failed: the slot it freed must wait for it once more."""
    post.send(1, 1, ENDED)
    post.look()
    with suppress(ZeroDivisionError), post.store.transaction(post.epoch) as tx:
        post.reconciler.take_messages(tx, post.bus.read(post.reconciler.position, 0.05), Effects())
        raise ZeroDivisionError
    post.reconciler.load()
    assert post.look() == [RunState.running]
    assert post.take() == [RunState.finished, RunState.pending]
