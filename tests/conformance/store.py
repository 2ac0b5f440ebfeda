"""What every store must do. A subclass gives two fixtures: `store`, empty, and `again`, which reopens it."""

from __future__ import annotations

import string
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweepyard.errors import Fenced, IllegalTransition
from sweepyard.tracking.port import Store, Transaction
from sweepyard.tracking.records import (
    CREATED,
    Actor,
    Agent,
    Attempt,
    AttemptState,
    AuditEntry,
    Decision,
    Event,
    Leader,
    Outcome,
    Point,
    PriorRun,
    Role,
    Row,
    Run,
    RunState,
    Saved,
    SpecVersion,
    Sweep,
    SweepState,
)

Begin: TypeAlias = Callable[[], AbstractContextManager[Transaction]]

TEXT = "ünïcode 図 🧹 'quoted' \"twice\" %s :name\nnext line"
PLAIN = {
    "NaN": "NaN",
    "worst": ["Infinity", "-Infinity"],
    "nested": {"opt": {"lr": 1e-300, "on": True, "none": None, "": []}},
    "whole": 1,
    "real": 1.0,
    "huge": 2**70,
    TEXT: TEXT,
}


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10) | st.just(TEXT)
PARAMS = st.dictionaries(
    TEXTS,
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=5,
    ),
)


def a_sweep(id: str = "sweep001", *, goal: str = "minimize", **changes: Any) -> Sweep:
    spec = {"metric": {"name": "loss", "goal": goal}}
    return replace(Sweep(id=id, entity="me", project="digits", name="first", spec=spec, seed=7), **changes)


def a_run(number: int, *, sweep_id: str = "sweep001", **changes: Any) -> Run:
    id = changes.pop("id", f"{sweep_id[-3:]}{number:05d}")
    return replace(Run(id=id, sweep_id=sweep_id, number=number, params={"x": number}, reason="drawn"), **changes)


def an_event(text: str, **changes: Any) -> Event:
    return replace(Event(sweep_id="sweep001", kind="note", text=text, at=1.5), **changes)


def a_decision(run: Run, reason: str) -> Decision:
    return Decision(
        run_key=run.key,
        attempt=1,
        action="stop",
        rule="hyperband",
        reason=reason,
        rung=9,
        value=0.78,
        threshold=0.71,
        peers=3,
        decided_at=12.5,
        probability=0.04,
        run_number=run.number,
    )


def rows(lines: Iterable[int], *, attempt: int = 1) -> list[Row]:
    return [
        Row(line=n, attempt=attempt, step=2 * n, runtime_s=n / 4, logged_at=1e9 + n, data={"loss": n})
        for n in lines
    ]


def numbers(found: Iterable[Run]) -> list[int]:
    return [run.number for run in found]


class StoreConformance:
    @pytest.fixture
    def begin(self, store: Store) -> Begin:
        """Begins a transaction of the only writer."""
        epoch = store.take_over()
        return lambda: store.transaction(epoch)

    @pytest.fixture
    def run(self, begin: Begin) -> Run:
        """A run with one offered attempt, of a sweep."""
        with begin() as t:
            t.add_sweep(a_sweep())
            run = t.add_run(a_run(1))
            t.add_attempt(Attempt(run_key=run.key, n=1))
        return run

    @pytest.fixture
    def add_runs(self, begin: Begin) -> Callable[..., list[Run]]:
        """Adds a sweep and its runs: one for each dict of changes."""

        def add(*changes: dict[str, Any], sweep: Sweep | None = None) -> list[Run]:
            sweep = sweep or a_sweep()
            with begin() as t:
                t.add_sweep(sweep)
                return [t.add_run(a_run(n, sweep_id=sweep.id, **some)) for n, some in enumerate(changes, start=1)]

        return add

    # who it is, and who may write

    def test_a_store_keeps_its_name(self, store: Store, again: Callable[[], Store]) -> None:
        assert len(store.instance_id) == 8
        assert set(store.instance_id) <= set(string.ascii_lowercase + string.digits)
        assert again().instance_id == store.instance_id
        assert len(store.signing_key) == 32
        assert again().signing_key == store.signing_key

    def test_the_older_writer_is_refused(self, store: Store, again: Callable[[], Store]) -> None:
        other = again()
        ours = store.take_over()
        theirs = other.take_over()
        assert theirs > ours
        with pytest.raises(Fenced, match="taken over"), store.transaction(ours) as t:
            t.add_sweep(a_sweep())
        assert store.sweeps() == []
        with other.transaction(theirs) as t:
            t.add_sweep(a_sweep())
        assert store.sweeps() == [a_sweep()]

    def test_a_writer_from_before_a_backup_is_refused(self, store: Store) -> None:
        with pytest.raises(Fenced), store.transaction(store.take_over() + 1):
            pass

    def test_a_take_over_waits_for_the_transaction_that_has_begun(
        self, store: Store, again: Callable[[], Store]
    ) -> None:
        epoch, other = store.take_over(), again()
        with store.transaction(epoch) as t:
            usurper = threading.Thread(target=other.take_over)
            usurper.start()
            usurper.join(timeout=0.2)
            assert usurper.is_alive()
            t.add_sweep(a_sweep())
        usurper.join()
        assert store.sweep("sweep001") == a_sweep()
        with pytest.raises(Fenced), store.transaction(epoch):
            pass

    def test_a_leader_is_known_and_beats_until_it_resigns(self, store: Store, again: Callable[[], Store]) -> None:
        assert store.leader() == Leader(epoch=0, name="", home="", beat=0)
        epoch = store.take_over(name=TEXT, home="h1")
        store.beat(epoch)
        assert again().leader() == Leader(epoch=epoch, name=TEXT, home="h1", beat=1)
        store.resign(epoch)
        assert again().leader().name == ""

    def test_an_older_leader_neither_beats_nor_resigns_for_the_younger_one(
        self, store: Store, again: Callable[[], Store]
    ) -> None:
        ours = store.take_over(name="we")
        theirs = again().take_over(name="they")
        with pytest.raises(Fenced):
            store.beat(ours)
        store.resign(ours)
        assert store.leader() == Leader(epoch=theirs, name="they", home="", beat=0)

    def test_of_two_that_have_seen_the_same_epoch_one_takes_over(self, store: Store) -> None:
        seen = store.take_over()
        assert store.take_over(seen=seen) == seen + 1
        with pytest.raises(Fenced, match="taken over"):
            store.take_over(seen=seen)
        assert store.leader().epoch == seen + 1

    def test_an_epoch_is_above_what_was_seen_elsewhere(self, store: Store) -> None:
        assert store.take_over(above=41) == 42
        assert store.take_over(above=7) == 43

    # all or nothing

    def test_an_exception_rolls_everything_back(self, store: Store, begin: Begin, run: Run) -> None:
        class Oops(Exception):
            pass

        with pytest.raises(Oops), begin() as t:  # noqa: PT012
            t.add_sweep(a_sweep("sweep002"))
            t.save_sweep(a_sweep(state=SweepState.running))
            t.save_run(replace(run, state=RunState.running))
            t.add_rows(run.key, rows([0]))
            t.add_points(run.key, 1, [Point(1, 0.5, 1)])
            t.add_event(an_event("x"))
            t.set_cursor("reports", "1-0")
            raise Oops
        assert store.sweeps() == [a_sweep()]
        assert store.run("sweep001", 1) == run
        assert store.history(run.key) == []
        assert store.curves("sweep001") == {}
        assert store.events() == []
        assert store.cursor("reports") == "0"

    def test_a_refused_write_leaves_the_store_usable(self, store: Store, begin: Begin, run: Run) -> None:
        with pytest.raises(IllegalTransition), begin() as t:  # noqa: PT012
            t.set_cursor("reports", "1-0")
            t.save_run(replace(run, state=RunState.stopped))
        assert store.cursor("reports") == "0"
        with begin() as t:
            t.save_run(replace(run, state=RunState.running))
        assert store.run("sweep001", 1) == replace(run, state=RunState.running)

    def test_readers_see_only_what_was_committed(
        self, store: Store, again: Callable[[], Store], begin: Begin, run: Run
    ) -> None:
        other = again()
        with begin() as t:
            t.save_run(replace(run, state=RunState.running))
            t.add_rows(run.key, rows([0]))
            for reader in (store, other):
                assert reader.run("sweep001", 1) == run
                assert reader.history(run.key) == []
        for reader in (store, other):
            assert reader.run("sweep001", 1) == replace(run, state=RunState.running)
            assert reader.history(run.key) == rows([0])

    def test_threads_read_while_one_writes(self, store: Store, begin: Begin, run: Run) -> None:
        done = threading.Event()
        odd: list[int] = []

        def read() -> None:
            while not done.is_set():
                seen = len(store.history(run.key))
                if seen % 10 or store.count_runs("sweep001")[RunState.pending] != 1:
                    odd.append(seen)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for batch in range(20):
            with begin() as t:
                t.add_rows(run.key, rows(range(10 * batch, 10 * batch + 5)))
                t.add_rows(run.key, rows(range(10 * batch + 5, 10 * batch + 10)))
        done.set()
        for reader in readers:
            reader.join()
        assert odd == []
        assert len(store.history(run.key)) == 200

    # what goes in comes out

    def test_sweep_round_trip(self, store: Store, begin: Begin) -> None:
        sweep = Sweep(
            id="abcd1234",
            entity="wír",
            project="p/%",
            name=TEXT,
            spec={"metric": {"name": "acc", "goal": "maximize"}, "parameters": PLAIN},
            seed=2**62,
            created_at=1_700_000_000.123456,
        )
        with begin() as t:
            t.add_sweep(sweep)
        assert store.sweep("abcd1234") == sweep
        over = replace(sweep, state=SweepState.cancelled, reason=TEXT, ended_at=1_700_000_001.5)
        with begin() as t:
            t.save_sweep(over)
        assert store.sweep("abcd1234") == over
        assert store.sweep("nonesuch") is None

    def test_run_round_trip(self, store: Store, begin: Begin, run: Run) -> None:
        new = a_run(
            2,
            id="0a1b2c3d",
            params=PLAIN,
            reason=TEXT,
            detail=PLAIN,
            name="gentle-sweep-2",
            created_at=0.1,
            spec_version=4,
        )
        with begin() as t:
            stored = t.add_run(new)
        assert stored == replace(new, key=stored.key)
        assert stored.key not in (0, run.key)
        assert store.run("sweep001", 2) == stored
        lived = replace(
            stored,
            name=TEXT,
            state=RunState.running,
            state_reason=TEXT,
            attempt=3,
            outside=True,
            failed_on=["box-1", "", "box-1"],
            order="kill",
            order_reason=TEXT,
            objective=-1e-300,
            steps=5,
            lines=6,
            config=PLAIN,
            summary=PLAIN,
            started_at=1.25,
            ended_at=2.5,
        )
        with begin() as t:
            t.save_run(lived)
        assert store.run("sweep001", 2) == lived
        assert store.run("sweep001", 1) == run

    @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(params=PARAMS, name=TEXTS)
    def test_any_run_round_trip(
        self, store: Store, begin: Begin, run: Run, params: dict[str, Any], name: str
    ) -> None:
        number = sum(store.count_runs(run.sweep_id).values()) + 1
        new = a_run(number, params=params, name=name, reason=name, repeat_of=1)
        with begin() as t:
            stored = t.add_run(new)
        found = store.run(run.sweep_id, number)
        assert found == stored == replace(new, key=stored.key)
        assert repr(found.params) == repr(params)

    def test_what_was_proposed_never_changes(self, store: Store, begin: Begin, run: Run) -> None:
        with begin() as t:
            t.save_run(
                replace(run, params={"x": 2}, reason="other", detail={"a": 1}, number=5, id="x", created_at=9.0)
            )
            t.save_run(replace(run, spec_version=9))
            t.save_sweep(a_sweep(seed=8, name="other"))
        assert store.run("sweep001", 1) == run
        assert store.sweep("sweep001") == a_sweep()

    def test_a_spec_changes_with_its_version_only(self, store: Store, begin: Begin, run: Run) -> None:
        with pytest.raises(IllegalTransition, match="higher version"), begin() as t:
            t.save_sweep(a_sweep(spec=PLAIN))
        edited = a_sweep(spec=PLAIN, version=2)
        with begin() as t:
            t.save_sweep(edited)
        assert store.sweep("sweep001") == edited
        with pytest.raises(IllegalTransition, match="higher version"), begin() as t:
            t.save_sweep(a_sweep(version=1))

    def test_version_round_trip(self, store: Store, begin: Begin, run: Run) -> None:
        second = SpecVersion(sweep_id="sweep001", version=2, spec=PLAIN, text=TEXT, at=1_700_000_000.5)
        first = replace(second, version=1, spec={}, text="")
        with begin() as t:
            t.add_version(second)
            t.add_version(first)
        assert store.versions("sweep001") == [first, second]
        assert store.versions("nonesuch") == []
        with pytest.raises(IllegalTransition), begin() as t:
            t.add_version(second)

    def test_prior_run_round_trip(self, store: Store, begin: Begin, run: Run) -> None:
        def prior(n: int, **more: Any) -> PriorRun:
            return PriorRun(sweep_id="sweep001", n=n, source=TEXT, params=PLAIN, **more)

        known = [
            prior(1, value=-1e-300, curve=[[1.0, 2.0], [2.0, -1e-300]]),
            prior(2, value=None, failed=True, outside=True, note=TEXT),
            prior(3, value=0.5),
        ]
        with begin() as t:
            t.add_prior_runs(known)
            t.add_prior_runs([])
        assert store.prior_runs("sweep001") == known
        assert store.prior_runs("sweep001", offset=1, limit=1) == known[1:2]
        assert (store.count_prior_runs("sweep001"), store.count_prior_runs("nonesuch")) == (3, 0)
        with pytest.raises(IllegalTransition), begin() as t:
            t.add_prior_runs(known[:1])

    def test_a_run_is_found_in_its_project(self, store: Store, begin: Begin, run: Run) -> None:
        assert store.run_of_project("me", "digits", run.id) == run
        assert store.run_of_project("me", "other", run.id) is None
        assert store.run_of_project("you", "digits", run.id) is None
        assert store.run_of_project("me", "digits", "nonesuch") is None

    @pytest.mark.parametrize("outcome", Outcome)
    def test_attempt_round_trip(self, store: Store, begin: Begin, run: Run, outcome: Outcome) -> None:
        running = Attempt(
            run_key=run.key,
            n=1,
            state=AttemptState.running,
            agent_id="agent1",
            offered_at=1.5,
            started_at=2.5,
            seq=4,
        )
        with begin() as t:
            t.save_attempt(running)
        assert store.attempts(run.key) == [running]
        ended = replace(
            running,
            state=AttemptState.ended,
            ended_at=3.5,
            outcome=outcome,
            exit_code=-1,
            signal=15,
            reason=TEXT,
            tail=TEXT,
        )
        with begin() as t:
            t.save_attempt(ended)
        assert store.attempts(run.key) == [ended]

    def test_hostile_text_does_not_keep_a_run_from_ending(self, store: Store, begin: Begin, run: Run) -> None:
        with begin() as t:
            t.save_attempt(Attempt(run_key=run.key, n=1, tail="a\0b\udc80c", reason="\0"))
            t.add_event(an_event("\ud800\0"))
        assert store.attempts(run.key)[0].tail == "a\N{REPLACEMENT CHARACTER}b?c"
        assert len(store.events()) == 1

    def test_row_round_trip(self, store: Store, begin: Begin, run: Run) -> None:
        row = Row(line=0, attempt=1, step=2**40, runtime_s=0.1, logged_at=1_700_000_000.123456, data=PLAIN)
        with begin() as t:
            t.add_rows(run.key, [row])
        (stored,) = store.history(run.key)
        assert stored == row
        assert isinstance(stored.data["whole"], int)
        assert isinstance(stored.data["real"], float)

    @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        data=st.lists(
            st.dictionaries(
                st.text(), st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
            ),
            min_size=1,
            max_size=5,
        )
    )
    def test_any_row_round_trip(self, store: Store, begin: Begin, run: Run, data: list[dict[str, Any]]) -> None:
        first = len(store.history(run.key))
        sent = [
            replace(row, data=some) for row, some in zip(rows(range(first, first + len(data))), data, strict=True)
        ]
        with begin() as t:
            t.add_rows(run.key, sent)
        named = {float("inf"): "Infinity", float("-inf"): "-Infinity"}
        expected = [
            {key: named.get(value, value) if isinstance(value, float) else value for key, value in some.items()}
            for some in data
        ]
        assert [row.data for row in store.history(run.key, after_line=first - 1)] == expected

    def test_decision_round_trip(self, store: Store, begin: Begin, run: Run) -> None:
        stop = a_decision(run, TEXT)
        onward = replace(stop, action="continue", threshold=None)
        with begin() as t:
            t.add_decision(stop)
            t.add_decision(onward)
        assert store.decisions("sweep001") == [stop, onward]

    def test_event_round_trip(self, store: Store, begin: Begin, run: Run) -> None:
        full = an_event(TEXT, run_key=run.key, run_number=1, attempt=2, agent_id="agent1")
        with begin() as t:
            t.add_event(full)
            t.add_event(an_event("of the sweep"))
        first, second = store.events()
        assert first == replace(full, id=first.id)
        assert second == an_event("of the sweep", id=second.id)
        assert 0 < first.id < second.id

    def test_agent_round_trip(self, store: Store, begin: Begin, run: Run) -> None:
        agent = Agent(
            id="agent1",
            sweep_id="sweep001",
            host=TEXT,
            pid=2**31,
            version="1",
            first_seen_at=1.5,
            last_seen_at=1.5,
        )
        with begin() as t:
            t.save_agent(agent)
        assert store.agents() == [agent]
        lost = replace(agent, state="lost", last_seen_at=9.5, order="quarantine", order_reason=TEXT)
        with begin() as t:
            t.save_agent(lost)
        assert store.agents() == [lost]

    def test_cursors(self, store: Store, begin: Begin) -> None:
        assert store.cursor("reports") == "0"
        for position in ("5-0", "12-3"):
            with begin() as t:
                t.set_cursor("reports", position)
                t.set_cursor("other", "1")
            assert store.cursor("reports") == position
        assert store.cursor("other") == "1"

    def test_the_audit_trail_newest_first(self, store: Store, begin: Begin) -> None:
        by = Actor(name=TEXT, role=Role.editor, address="10.0.0.1")
        with begin() as t:
            for n in range(5):
                t.add_audit(AuditEntry.of(by, "sweep.pause", f"s{n}", at=float(n), text=TEXT))
        newest, *_, oldest = store.audit()
        assert replace(newest, id=0) == AuditEntry.of(by, "sweep.pause", "s4", at=4.0, text=TEXT)
        assert [entry.target for entry in store.audit(before_id=newest.id, limit=2)] == ["s3", "s2"]
        assert store.audit(before_id=oldest.id) == []
        with begin() as t:
            assert t.prune_audit(3.0) == 3
        assert [entry.target for entry in store.audit()] == ["s4", "s3"]

    def test_an_actor_s_sweeps_that_are_not_over(self, store: Store, begin: Begin) -> None:
        mine, theirs = (Actor(name=name, role=Role.editor) for name in ("me", "they"))
        states = {
            "s1": SweepState.running,
            "s2": SweepState.paused,
            "s3": SweepState.finished,
            "s4": SweepState.pending,
        }
        with begin() as t:
            for id, state in states.items():
                t.add_sweep(Sweep(id=id, entity="e", project="p", name="", spec={}, seed=1, state=state))
                t.add_audit(AuditEntry.of(theirs if id == "s4" else mine, CREATED, id, at=1.0))
            t.add_audit(AuditEntry.of(mine, "sweep.pause", "s4", at=2.0))
        assert [store.open_sweeps_of(name) for name in ("me", "they", "nobody")] == [2, 1, 0]

    def test_a_batch_may_be_empty(self, store: Store, begin: Begin, run: Run) -> None:
        with begin() as t:
            t.add_rows(run.key, [])
            t.add_points(run.key, 1, [])
        assert store.history(run.key) == []
        assert store.curves("sweep001") == {}

    def test_everything_outlives_a_closed_store(
        self, store: Store, again: Callable[[], Store], begin: Begin, run: Run
    ) -> None:
        with begin() as t:
            t.add_rows(run.key, rows(range(3)))
            t.add_points(run.key, 1, [Point(1, 0.5, 1)])
        store.close()
        later = again()
        assert later.run("sweep001", 1) == run
        assert later.history(run.key) == rows(range(3))
        assert later.curves("sweep001") == {run.id: [Point(1, 0.5, 1)]}

    # what must not be

    def test_one_open_attempt_per_run(self, store: Store, begin: Begin, run: Run) -> None:
        second = Attempt(run_key=run.key, n=2)
        with pytest.raises(IllegalTransition, match="attempts"), begin() as t:
            t.add_attempt(second)
        with begin() as t:
            t.save_attempt(Attempt(run_key=run.key, n=1, state=AttemptState.superseded))
            t.add_attempt(second)
        assert [attempt.n for attempt in store.attempts(run.key)] == [1, 2]

    def test_moves_outside_the_tables_are_refused(self, store: Store, begin: Begin, run: Run) -> None:
        with pytest.raises(IllegalTransition, match=r"sweeps.*id=sweep001.*state=finished"), begin() as t:
            t.save_sweep(a_sweep(state=SweepState.finished))
        with pytest.raises(IllegalTransition, match=rf"runs.*key={run.key}.*state=stopped"), begin() as t:
            t.save_run(replace(run, state=RunState.stopped))
        with pytest.raises(IllegalTransition, match=r"attempts.*n=1.*state=ended"), begin() as t:
            t.save_attempt(Attempt(run_key=run.key, n=1, state=AttemptState.ended))
        assert store.sweep("sweep001") == a_sweep()
        assert store.run("sweep001", 1) == run
        assert store.attempts(run.key) == [Attempt(run_key=run.key, n=1)]

    def test_a_save_that_keeps_the_state_is_no_move(self, store: Store, begin: Begin) -> None:
        with begin() as t:
            t.add_sweep(a_sweep(state=SweepState.finished))
            run = t.add_run(a_run(1, state=RunState.killed))
            t.add_attempt(Attempt(run_key=run.key, n=1, state=AttemptState.lost))
        with begin() as t:
            t.save_sweep(a_sweep(state=SweepState.finished, reason="why"))
            t.save_run(replace(run, state_reason="why"))
            t.save_attempt(Attempt(run_key=run.key, n=1, state=AttemptState.lost, reason="why"))
        assert store.run("sweep001", 1) == replace(run, state_reason="why")

    def test_records_that_belong_to_nothing_are_refused(self, begin: Begin, run: Run) -> None:
        nobody = run.key + 1
        refused: list[Callable[[Transaction], object]] = [
            lambda t: t.save_sweep(a_sweep("nonesuch")),
            lambda t: t.add_run(a_run(2, sweep_id="nonesuch")),
            lambda t: t.save_run(replace(run, key=nobody)),
            lambda t: t.add_attempt(Attempt(run_key=nobody, n=1)),
            lambda t: t.save_attempt(Attempt(run_key=run.key, n=2)),
            lambda t: t.add_rows(nobody, rows([0])),
            lambda t: t.add_rows(run.key, rows([0], attempt=2)),
            lambda t: t.add_points(run.key, 2, [Point(1, 0.5, 1)]),
            lambda t: t.add_decision(replace(a_decision(run, ""), attempt=2)),
            lambda t: t.add_event(an_event("", sweep_id="nonesuch")),
        ]
        for write in refused:
            with pytest.raises(IllegalTransition), begin() as t:
                write(t)

    def test_nothing_is_stored_twice(self, store: Store, begin: Begin, run: Run) -> None:
        with begin() as t:
            t.add_rows(run.key, rows([0]))
            t.add_points(run.key, 1, [Point(1, 0.5, 1)])
        refused: list[Callable[[Transaction], object]] = [
            lambda t: t.add_sweep(a_sweep()),
            lambda t: t.add_run(a_run(1, id="another1")),
            lambda t: t.add_run(a_run(2, id=run.id)),
            lambda t: t.add_rows(run.key, rows([1, 0])),
            lambda t: t.add_points(run.key, 1, [Point(2, 0.5, 2), Point(1, 0.5, 1)]),
        ]
        for write in refused:
            with pytest.raises(IllegalTransition), begin() as t:
                write(t)
        assert store.history(run.key) == rows([0])

    def test_run_ids_are_unique_in_a_project_only(self, store: Store, begin: Begin, run: Run) -> None:
        with begin() as t:
            t.add_sweep(a_sweep("sweep002", project="other"))
            t.add_sweep(a_sweep("sweep003", entity="you"))
            for sweep_id in ("sweep002", "sweep003"):
                t.add_run(a_run(1, sweep_id=sweep_id, id=run.id))
        assert store.run("sweep001", run.id) == run
        assert store.run("sweep002", run.id) == store.run("sweep002", 1) != run

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    def test_number_columns_hold_finite_values_only(
        self, store: Store, begin: Begin, run: Run, value: float
    ) -> None:
        with begin() as t:
            t.save_run(replace(run, objective=value))
        assert store.run("sweep001", 1) == run
        with pytest.raises(IllegalTransition), begin() as t:
            t.add_points(run.key, 1, [Point(1, value, 1)])

    # reading

    def test_sweeps_newest_first(self, store: Store, begin: Begin) -> None:
        states = {"sweep001": SweepState.finished, "sweep002": SweepState.running, "sweep003": SweepState.pending}
        with begin() as t:
            for id, state in states.items():
                t.add_sweep(a_sweep(id, state=state))
        assert [sweep.id for sweep in store.sweeps()] == ["sweep003", "sweep002", "sweep001"]
        chosen = store.sweeps({SweepState.pending, SweepState.finished})
        assert [sweep.id for sweep in chosen] == ["sweep003", "sweep001"]
        assert store.sweeps([]) == []

    def test_sweeps_on_which_something_is_still_open(self, store: Store, begin: Begin, run: Run) -> None:
        with begin() as t:
            for id, state in (("sweep002", SweepState.cancelled), ("sweep003", SweepState.cancelled)):
                t.add_sweep(a_sweep(id, state=state))
                other = t.add_run(a_run(1, sweep_id=id, state=RunState.running))
                open_or_not = AttemptState.running if id == "sweep002" else AttemptState.ended
                t.add_attempt(Attempt(run_key=other.key, n=1, state=open_or_not))
        assert [sweep.id for sweep in store.unsettled_sweeps()] == ["sweep002", "sweep001"]

    def test_a_run_by_id_or_number(self, store: Store, begin: Begin, run: Run) -> None:
        with begin() as t:
            t.add_sweep(a_sweep("sweep002"))
        assert store.run("sweep001", 1) == store.run("sweep001", run.id) == run
        for sweep_id, ref in [("sweep002", 1), ("sweep002", run.id), ("sweep001", 2), ("sweep001", "1")]:
            assert store.run(sweep_id, ref) is None

    @pytest.mark.parametrize(
        ("sort", "ascending", "descending"),
        [
            ("number", [1, 2, 3, 4, 5], [5, 4, 3, 2, 1]),
            ("objective", [3, 2, 4, 1, 5], [2, 4, 3, 1, 5]),
            ("state", [2, 3, 1, 4, 5], [1, 4, 5, 3, 2]),
            ("created_at", [5, 4, 3, 2, 1], [1, 2, 3, 4, 5]),
            ("ended_at", [3, 2, 1, 4, 5], [2, 3, 1, 4, 5]),
            ("steps", [1, 4, 5, 3, 2], [2, 3, 1, 4, 5]),
        ],
    )
    def test_sorting(
        self, store: Store, add_runs: Callable[..., Any], sort: Any, ascending: list[int], descending: list[int]
    ) -> None:
        add_runs(
            {"state": RunState.pending, "created_at": 5.0},
            {"state": RunState.crashed, "created_at": 4.0, "objective": 0.5, "ended_at": 9.0, "steps": 20},
            {"state": RunState.finished, "created_at": 3.0, "objective": -0.5, "ended_at": 8.0, "steps": 3},
            {"state": RunState.pending, "created_at": 2.0, "objective": 0.5},
            {"state": RunState.pending, "created_at": 1.0},
        )
        assert numbers(store.runs("sweep001", sort=sort)) == ascending
        assert numbers(store.runs("sweep001", sort=sort, descending=True)) == descending

    def test_filtering_and_paging(self, store: Store, add_runs: Callable[..., Any]) -> None:
        add_runs(*[{"state": RunState.finished if n % 3 else RunState.failed, "objective": -n} for n in range(9)])
        add_runs({}, {}, sweep=a_sweep("sweep002"))
        assert numbers(store.runs("sweep001")) == list(range(1, 10))
        assert numbers(store.runs("sweep001", states=[RunState.failed])) == [1, 4, 7]
        assert numbers(store.runs("sweep001", states=[])) == []
        assert numbers(store.runs("sweep001", states=list(RunState), limit=2)) == [1, 2]
        assert numbers(store.runs("sweep001", sort="objective", offset=1, limit=3)) == [8, 7, 6]
        assert numbers(store.runs("sweep001", offset=7)) == [8, 9]
        assert numbers(store.runs("sweep001", offset=99, limit=5)) == []
        assert numbers(store.runs("sweep001", limit=0)) == []
        assert store.runs("nonesuch") == []

    def test_counting_runs(self, store: Store, add_runs: Callable[..., Any]) -> None:
        add_runs({}, {"state": RunState.failed}, {"state": RunState.failed})
        add_runs({}, sweep=a_sweep("sweep002"))
        none = dict.fromkeys(RunState, 0)
        assert store.count_runs("sweep001") == none | {RunState.pending: 1, RunState.failed: 2}
        assert store.count_runs("nonesuch") == none

    @pytest.mark.parametrize(("goal", "best"), [("minimize", 3), ("maximize", 2)])
    def test_the_best_run_counts_and_comes_first(
        self, store: Store, add_runs: Callable[..., Any], goal: str, best: int
    ) -> None:
        sweep = a_sweep(goal=goal)
        extremes = [
            {"state": state, "objective": value}
            for state in RunState
            if state not in (RunState.finished, RunState.stopped)
            for value in (-100.0, 100.0)
        ]
        add_runs(
            {"state": RunState.finished},
            {"state": RunState.stopped, "objective": 2.0},
            {"state": RunState.finished, "objective": 1.0},
            {"state": RunState.stopped, "objective": 1.0},
            {"state": RunState.finished, "objective": 2.0},
            *extremes,
            sweep=sweep,
        )
        add_runs({"state": RunState.finished, "objective": 0.0}, sweep=a_sweep("sweep002", goal=goal))
        found = store.best_run(sweep)
        assert found is not None
        assert found.number == best

    def test_no_best_run(self, store: Store, add_runs: Callable[..., Any]) -> None:
        add_runs({"state": RunState.finished}, {"state": RunState.failed, "objective": 1.0})
        assert store.best_run(a_sweep()) is None
        assert store.best_run(a_sweep(spec={})) is None

    def test_saved(self, store: Store, add_runs: Callable[..., list[Run]]) -> None:
        finished, stopped = RunState.finished, RunState.stopped
        assert store.saved("sweep001") == Saved(steps=0, seconds=0.0, used_steps=0)
        add_runs({"state": stopped, "steps": 3})
        assert store.saved("sweep001") == Saved(steps=0, seconds=0.0, used_steps=3)
        add_runs(
            {"state": finished, "steps": 50, "started_at": 10.0, "ended_at": 60.0},
            {"state": finished, "steps": 50, "started_at": 10.0, "ended_at": 80.0},
            {"state": finished, "steps": 40, "started_at": 10.0, "ended_at": 11.0},
            {"state": stopped, "steps": 10, "started_at": 10.0, "ended_at": 110.0},
            {"state": stopped, "steps": 5, "started_at": 10.0, "ended_at": 20.0},
            {"state": stopped, "steps": 15, "started_at": 10.0, "ended_at": 25.0},
            {"state": stopped, "steps": 0, "started_at": 10.0, "ended_at": 20.0},
            {"state": stopped, "steps": 60, "started_at": 10.0, "ended_at": 20.0},
            {"state": RunState.failed, "steps": 1},
            sweep=a_sweep("sweep002"),
        )
        saved = store.saved("sweep002")
        assert saved == Saved(steps=40 + 45 + 35 + 50, seconds=(60 - 10) + (60 - 15) + (60 - 10), used_steps=231)
        assert saved.share == 170 / 401

    def test_attempts(self, store: Store, begin: Begin, add_runs: Callable[..., list[Run]]) -> None:
        first, second = add_runs({}, {})
        (other,) = add_runs({}, sweep=a_sweep("sweep002"))
        with begin() as t:
            t.add_attempt(Attempt(run_key=second.key, n=1, state=AttemptState.running))
            t.add_attempt(Attempt(run_key=first.key, n=2))
            t.add_attempt(Attempt(run_key=first.key, n=1, state=AttemptState.lost))
            t.add_attempt(Attempt(run_key=other.key, n=1))
        assert [attempt.n for attempt in store.attempts(first.key)] == [1, 2]
        still_open = store.open_attempts("sweep001")
        assert [(attempt.run_key, attempt.n) for attempt in still_open] == [(first.key, 2), (second.key, 1)]

    def test_history(self, store: Store, begin: Begin, run: Run) -> None:
        with begin() as t:
            t.add_rows(run.key, rows(range(3)))
            t.save_attempt(Attempt(run_key=run.key, n=1, state=AttemptState.lost))
            t.add_attempt(Attempt(run_key=run.key, n=2))
            t.add_rows(run.key, rows(range(3, 12), attempt=2))
        everything = rows(range(3)) + rows(range(3, 12), attempt=2)
        assert store.history(run.key) == everything
        assert store.history(run.key, after_line=1) == everything[2:]
        assert store.history(run.key, after_line=1, limit=3) == everything[2:5]
        assert store.history(run.key, after_line=11) == []
        assert store.history(run.key + 1) == []

    def test_curves(self, store: Store, begin: Begin, add_runs: Callable[..., list[Run]]) -> None:
        one, two, three = add_runs({}, {"attempt": 2}, {})
        (other,) = add_runs({}, sweep=a_sweep("sweep002"))
        with begin() as t:
            for run in (one, two, three, other):
                t.add_attempt(Attempt(run_key=run.key, n=1, state=AttemptState.lost))
                t.add_attempt(Attempt(run_key=run.key, n=2))
            t.add_points(two.key, 2, [Point(2, 0.25, 2), Point(1, 0.5, 1)])
            t.add_points(two.key, 1, [Point(1, 9.0, 1)])
            t.add_points(one.key, 1, (Point(k, 1 / k, k / 2) for k in range(1, 12)))
            t.add_points(three.key, 2, [Point(1, 9.0, 1)])
            t.add_points(other.key, 1, [Point(1, 9.0, 1)])
        assert store.curves("sweep001") == {
            one.id: [Point(k, 1 / k, k / 2) for k in range(1, 12)],
            two.id: [Point(1, 0.5, 1), Point(2, 0.25, 2)],
        }
        assert store.curves("sweep001", former=True) == {two.id: [Point(1, 9.0, 1)]}

    def test_decisions(self, store: Store, begin: Begin, add_runs: Callable[..., list[Run]]) -> None:
        one, two = add_runs({}, {})
        (other,) = add_runs({}, sweep=a_sweep("sweep002"))
        with begin() as t:
            for run in (one, two, other):
                t.add_attempt(Attempt(run_key=run.key, n=1))
            for n, run in enumerate((two, one, two, other)):
                t.add_decision(a_decision(run, str(n)))

        def reasons(*args: Any, **kwargs: Any) -> list[str]:
            return [decision.reason for decision in store.decisions(*args, **kwargs)]

        assert reasons("sweep001") == ["0", "1", "2"]
        assert reasons("sweep001", newest=2) == ["1", "2"]
        assert reasons("sweep001", two.key) == ["0", "2"]
        assert reasons("sweep001", two.key, newest=1) == ["2"]
        assert reasons("sweep001", other.key) == []

    def test_events(self, store: Store, begin: Begin, run: Run) -> None:
        with begin() as t:
            t.add_sweep(a_sweep("sweep002"))
            t.add_event(an_event("0"))
            t.add_event(an_event("1", run_key=run.key))
            t.add_event(an_event("2", sweep_id="sweep002"))
            t.add_event(an_event("3", run_key=run.key))

        def texts(**kwargs: Any) -> list[str]:
            return [event.text for event in store.events(**kwargs)]

        assert texts() == ["0", "1", "2", "3"]
        assert texts(limit=2) == ["0", "1"]
        second = store.events()[1].id
        assert texts(after_id=second) == ["2", "3"]
        assert texts(after_id=second, sweep_id="sweep001") == ["3"]
        assert texts(sweep_id="sweep002") == ["2"]
        assert texts(run_key=run.key) == ["1", "3"]
        assert texts(run_key=run.key, limit=1) == ["1"]
        assert texts(after_id=10**6) == []

    def test_agents(self, store: Store, begin: Begin, run: Run) -> None:
        agent = Agent(
            id="b", sweep_id="sweep001", host="h", pid=1, version="1", first_seen_at=1.0, last_seen_at=2.0
        )
        with begin() as t:
            t.add_sweep(a_sweep("sweep002"))
            t.save_agent(agent)
            t.save_agent(replace(agent, id="c", sweep_id="sweep002", first_seen_at=0.5))
            t.save_agent(replace(agent, id="a"))
        assert [found.id for found in store.agents()] == ["c", "a", "b"]
        assert [found.id for found in store.agents("sweep001")] == ["a", "b"]
