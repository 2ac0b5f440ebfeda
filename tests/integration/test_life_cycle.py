"""The verbs, retries and the ends of a sweep, on a real engine: the effects of W&B's table, on runs and agents."""

from __future__ import annotations

from functools import partial

import pytest
from integration.yard import DEADLINE_S, LOST_AFTER_S, Hand, Yard

from sweepyard.bus.controller_side import RedisControllerBus
from sweepyard.bus.wire import Offer
from sweepyard.clock import wait_until
from sweepyard.errors import Conflict, NotFound, SpecError
from sweepyard.tracking.records import AttemptState, Outcome, Run, RunState, Sweep, SweepState


def running(yard: Yard, hand: Hand) -> Offer:
    """The next run of `hand`, of which the store knows that it runs."""
    offer = hand.start()
    assert wait_until(lambda: yard.run_state(offer) is RunState.running, DEADLINE_S)
    return offer


def finish(hand: Hand, offer: Offer, loss: float = 1.0) -> None:
    hand.log(offer, loss)
    hand.end(offer)


def becomes(yard: Yard, sweep: Sweep, state: SweepState) -> bool:
    return wait_until(lambda: yard.state(sweep) is state, DEADLINE_S)


def the_run(yard: Yard, offer: Offer) -> Run:
    run = yard.store.run(offer.sweep, offer.run)
    assert run is not None
    return run


def is_told(hand: Hand, *, exit: str | None = None, wait: str | None = None) -> bool:
    """Whether the agent gets to read these words, or none."""

    def heard() -> bool:
        control = hand.present()
        return (
            (exit is None) == (control.exit is None)
            and (wait is None) == (control.wait is None)
            and all(
                words in said
                for words, said in ((exit or "", control.exit or ""), (wait or "", control.wait or ""))
            )
        )

    return wait_until(heard, DEADLINE_S)


def is_lost(yard: Yard, offer: Offer) -> bool:
    """Whether the attempt is lost; if not, time goes on."""
    if yard.store.attempts(the_run(yard, offer).key)[offer.attempt - 1].state is AttemptState.lost:
        return True
    yard.clock.ahead_s += 0.6 * LOST_AFTER_S  # in steps: its agent's last words may be heard only now
    return False


class TestPause:
    def test_no_new_runs_present_ones_go_on_and_agents_wait(self, yard: Yard) -> None:
        sweep = yard.sweep()
        hand = yard.hand(sweep)
        offer = running(yard, hand)
        assert yard.engine.control(sweep.id, "pause").state is SweepState.paused
        assert is_told(hand, wait="is paused: pause by the user")
        assert hand.log(offer, 1.0).orders == {}
        hand.end(offer)
        assert wait_until(lambda: yard.run_state(offer) is RunState.finished, DEADLINE_S)
        assert yard.engine.control(sweep.id, "pause").state is SweepState.paused
        assert len(yard.store.runs(sweep.id)) == 1
        assert yard.engine.control(sweep.id, "resume").state is SweepState.running
        assert is_told(hand)
        assert hand.start().number == 2


class TestStop:
    def test_no_new_runs_present_ones_end_and_an_agent_leaves_when_its_run_has_ended(self, yard: Yard) -> None:
        sweep = yard.sweep()
        first, second = yard.hand(sweep, "first"), yard.hand(sweep, "second")
        one, two = running(yard, first), running(yard, second)
        assert yard.engine.control(sweep.id, "stop").state is SweepState.finishing
        assert is_told(second)
        finish(first, one)
        assert is_told(first, exit="is finishing: stop by the user")
        finish(second, two)
        assert is_told(second, exit="is finished")
        assert [run.state for run in yard.store.runs(sweep.id)] == [RunState.finished] * 2
        with pytest.raises(Conflict, match=r"is finished .*: stop is not possible"):
            yard.engine.control(sweep.id, "stop")

    def test_an_offer_that_nobody_has_started_is_taken_back(self, yard: Yard) -> None:
        sweep = yard.sweep(run_cap=2)
        queued = yard.engine.enqueue(sweep.id, {"lr": 0.5}, outside=False)
        bus = RedisControllerBus(yard.redis_url, yard.prefix, bytes(32))
        assert wait_until(lambda: bool(bus.waiting(sweep.id)), DEADLINE_S)
        assert yard.engine.control(sweep.id, "stop").state is SweepState.finished
        assert wait_until(lambda: not bus.waiting(sweep.id), DEADLINE_S)
        found = yard.store.run(sweep.id, queued.number)
        assert found is not None
        assert (found.state, found.state_reason) == (
            RunState.killed,
            "the sweep was stopped before this run started",
        )

    def test_a_run_that_is_lost_or_handed_back_meanwhile_is_not_started_again(self, yard: Yard) -> None:
        sweep = yard.sweep()
        hand = yard.hand(sweep)
        offer = running(yard, hand)
        yard.engine.control(sweep.id, "stop")
        hand.end(offer, Outcome.preempted, "its agent had to leave")
        assert becomes(yard, sweep, SweepState.finished)
        run = the_run(yard, offer)
        assert (run.state, run.attempt) == (RunState.killed, 1)
        assert run.state_reason == "its agent had to leave; not tried again: the sweep was stopped"


class TestCancel:
    def test_runs_are_killed_and_agents_leave(self, yard: Yard) -> None:
        sweep = yard.sweep()
        hand = yard.hand(sweep)
        offer = running(yard, hand)
        assert yard.engine.control(sweep.id, "cancel").state is SweepState.cancelled
        assert hand.order(offer).kind == "kill"
        assert is_told(hand, exit="is cancelled: cancel by the user")
        late = yard.hand(sweep, "late")
        assert is_told(late, exit="is cancelled")


class TestResume:
    @pytest.mark.parametrize("verb", ["pause", "stop", "cancel"])
    def test_from_any_state(self, yard: Yard, verb: str) -> None:
        sweep = yard.sweep()
        hand = yard.hand(sweep)
        finish(hand, running(yard, hand))
        yard.engine.control(sweep.id, "pause")
        yard.engine.control(sweep.id, verb)
        assert yard.engine.control(sweep.id, "resume").state is SweepState.running
        assert yard.engine.control(sweep.id, "resume").state is SweepState.running
        assert is_told(hand)  # what an agent was told before, and has not read yet, is taken back
        assert hand.start().number >= 2

    def test_of_a_new_sweep_changes_nothing(self, yard: Yard) -> None:
        assert yard.engine.control(yard.sweep().id, "resume").state is SweepState.pending

    def test_of_a_sweep_that_has_all_its_runs_says_so(self, yard: Yard) -> None:
        sweep = yard.sweep(run_cap=1)
        hand = yard.hand(sweep)
        finish(hand, hand.start())
        assert becomes(yard, sweep, SweepState.finished)
        resumed = yard.engine.control(sweep.id, "resume")
        assert resumed.state is SweepState.finished
        assert resumed.reason == "run_cap 1 is reached; all its runs have ended"


class TestStopRun:
    def test_the_run_is_stopped_and_its_agent_takes_the_next(self, yard: Yard) -> None:
        sweep = yard.sweep()
        hand = yard.hand(sweep)
        offer = running(yard, hand)
        hand.log(offer, 0.5)
        yard.engine.stop_run(sweep.id, offer.number)
        order = hand.order(offer)
        assert (order.kind, order.reason) == ("stop", "stopped by the user")
        yard.engine.stop_run(sweep.id, offer.run)  # once more changes nothing
        hand.end(offer, Outcome.stopped, "told to stop")
        assert hand.start().number == 2
        run = the_run(yard, offer)
        assert (run.state, run.state_reason, run.objective) == (RunState.stopped, "stopped by the user", 0.5)
        with pytest.raises(Conflict, match="is stopped: there is nothing to stop"):
            yard.engine.stop_run(sweep.id, 1)
        with pytest.raises(NotFound, match="no run '7'"):
            yard.engine.stop_run(sweep.id, 7)

    def test_one_that_has_not_started_is_killed(self, yard: Yard) -> None:
        sweep = yard.sweep()
        queued = yard.engine.enqueue(sweep.id, {"lr": 0.5}, outside=False)
        assert yard.engine.stop_run(sweep.id, queued.number).state is RunState.killed


class TestRetry:
    def test_a_failed_grid_point_is_a_new_attempt_of_the_same_run(self, yard: Yard) -> None:
        sweep = yard.sweep(method="grid", parameters={"a": {"values": [1, 2]}})
        hand = yard.hand(sweep)
        offer = hand.start()
        hand.log(offer, 3.0)
        hand.end(offer, Outcome.failed, "ValueError: no such layer")
        finish(hand, hand.start())
        assert becomes(yard, sweep, SweepState.finished)

        (again,) = yard.engine.retry(sweep.id, [], [RunState.failed])
        assert (again.number, again.attempt, again.params, again.objective) == (1, 2, {"a": 1}, None)
        assert again.state_reason == (
            "offered again because the user asked for it; it was failed (ValueError: no such layer)"
        )
        assert yard.state(sweep) is SweepState.finishing
        retried = running(yard, hand)
        assert (retried.run, retried.attempt, retried.params) == (offer.run, 2, {"a": 1})
        finish(hand, retried, 1.5)
        assert becomes(yard, sweep, SweepState.finished)
        run = the_run(yard, offer)
        assert (run.state, run.objective, run.lines) == (RunState.finished, 1.5, 2)
        assert [row.attempt for row in yard.store.history(run.key)] == [1, 2]
        assert [a.outcome for a in yard.store.attempts(run.key)] == [Outcome.failed, Outcome.finished]
        story = [event.text for event in yard.store.events(run_key=run.key) if event.kind == "run.retried"]
        assert story == [f"{again.state_reason} (attempt 1 had come to 3)"]
        assert len(yard.store.runs(sweep.id)) == 2

    def test_named_runs_in_any_ended_state(self, yard: Yard) -> None:
        sweep = yard.sweep(run_cap=2)
        hand = yard.hand(sweep)
        finish(hand, hand.start())
        offer = running(yard, hand)
        with pytest.raises(Conflict, match=r"Run 2 of sweep .* is running: it is not over yet"):
            yard.engine.retry(sweep.id, [1, 2], [])
        with pytest.raises(NotFound):
            yard.engine.retry(sweep.id, ["nonesuch"], [])
        assert yard.engine.retry(sweep.id, [], [RunState.failed, RunState.running]) == []
        yard.engine.control(sweep.id, "cancel")
        hand.end(offer, Outcome.killed)
        assert wait_until(lambda: yard.run_state(offer) is RunState.killed, DEADLINE_S)
        again = yard.engine.retry(sweep.id, [2, offer.run, "1"], [])
        assert [(run.number, run.attempt, run.order) for run in again] == [(2, 2, None), (1, 2, None)]
        assert is_told(hand)
        for _ in again:
            finish(hand, hand.start())
        assert becomes(yard, sweep, SweepState.finished)

    def test_failures_are_tried_again_only_when_the_file_says_so(self, yard: Yard) -> None:
        sweep = yard.sweep(run_cap=1, retry={"max": 2, "on": ["failed"]})
        hand = yard.hand(sweep)
        for attempt in (1, 2, 3):
            offer = hand.start()
            assert offer.attempt == attempt
            hand.end(offer, Outcome.failed, "exit code 1")
        assert becomes(yard, sweep, SweepState.finished)
        run = the_run(yard, offer)
        assert (run.state, run.state_reason) == (RunState.failed, "exit code 1; not tried again: retry.max is 2")
        assert run.failed_on == ["a1", "a1", "a1"]

    def test_a_run_that_fails_on_three_agents_is_left_alone(self, yard: Yard) -> None:
        sweep = yard.sweep(run_cap=1, retry={"max": 50, "on": ["failed"]}, stall_after_s=600)
        for name in ("a", "b", "c"):
            hand = yard.hand(sweep, name)
            offer = hand.start()
            assert offer.stall_after_s == 600
            hand.free = -1  # takes nothing more
            hand.leave.set()
            hand.end(offer, Outcome.failed, "exit code 1")
        assert becomes(yard, sweep, SweepState.finished)
        run = the_run(yard, offer)
        assert (run.state, run.attempt) == (RunState.failed, 3)
        assert run.state_reason.endswith("it failed on 3 different agents, so it may be the cause itself")

    def test_a_lost_run_is_tried_once_more_and_then_crashed(self, yard: Yard) -> None:
        sweep = yard.sweep(run_cap=1)
        for attempt, name in enumerate(("first", "second"), start=1):
            hand = yard.hand(sweep, name)
            offer = running(yard, hand)
            assert offer.attempt == attempt
            hand.dies()
            assert wait_until(partial(is_lost, yard, offer), DEADLINE_S)
        assert becomes(yard, sweep, SweepState.finished)
        run = the_run(yard, offer)
        assert run.state is RunState.crashed
        assert run.state_reason.endswith("not tried again: retry.max is 1")
        assert [a.state for a in yard.store.attempts(run.key)] == [AttemptState.lost] * 2


def test_the_first_run_that_reaches_the_target_ends_the_sweep_and_the_others_finish(yard: Yard) -> None:
    sweep = yard.sweep(metric={"name": "loss", "goal": "minimize", "target": 0.1})
    one, two = yard.hand(sweep, "one"), yard.hand(sweep, "two")
    a, b = running(yard, one), running(yard, two)
    one.log(a, 0.5, 0.05)
    assert becomes(yard, sweep, SweepState.finishing)
    found = yard.store.sweep(sweep.id)
    assert found is not None
    assert found.reason == f"loss reached the target 0.1 (run {a.number}: 0.05)"
    finish(two, b, 0.7)
    assert two.present().orders == {}
    one.end(a)
    assert becomes(yard, sweep, SweepState.finished)
    assert [run.state for run in yard.store.runs(sweep.id)] == [RunState.finished] * 2


def test_idle_agents_beyond_the_open_runs_leave_at_the_end(yard: Yard) -> None:
    sweep = yard.sweep(run_cap=1)
    busy = yard.hand(sweep, "busy")
    offer = running(yard, busy)
    spare, needless = yard.hand(sweep, "a-spare"), yard.hand(sweep, "b-needless")
    assert is_told(needless, exit="is finishing: run_cap 1 is reached")
    assert is_told(spare)
    finish(busy, offer)
    assert is_told(spare, exit="is finished")


class TestEdit:
    def test_bounds_of_a_running_sweep(self, yard: Yard) -> None:
        sweep = yard.sweep(run_cap=40)
        hand = yard.hand(sweep)
        offer = running(yard, hand)
        made = yard.engine.edit(sweep.id, None, {"parameters.lr.min": 2, "parameters.lr.max": 3})
        assert made.version == 2
        assert made.text == (
            "parameters.lr.min: 0.0 -> 2; parameters.lr.max: 1.0 -> 3. Runs outside the space now: 1"
        )
        finish(hand, offer)
        second = running(yard, hand)
        assert 2 <= second.params["lr"] <= 3
        first, newer = yard.store.runs(sweep.id)
        assert (first.spec_version, first.outside, first.state) == (1, True, RunState.finished)
        assert (newer.spec_version, newer.outside) == (2, False)
        yard.restart()
        yard.engine.edit(sweep.id, None, {"parameters.lr.min": 0})
        assert [run.outside for run in yard.store.runs(sweep.id)] == [False, False]
        assert [v.text.partition(":")[0] for v in yard.store.versions(sweep.id)] == [
            "as created",
            "parameters.lr.min",
            "parameters.lr.min",
        ]

    def test_nothing_to_change_makes_no_version(self, yard: Yard) -> None:
        sweep = yard.sweep(run_cap=4)
        same = yard.engine.edit(sweep.id, None, {"run_cap": 4})
        assert (same.version, same.text) == (1, "nothing changed")
        with pytest.raises(SpecError, match=r"method: can not change \('random'\)"):
            yard.engine.edit(sweep.id, None, {"method": "bayes"})
        assert len(yard.store.versions(sweep.id)) == 1

    def test_a_finished_sweep_goes_on_under_its_new_cap(self, yard: Yard) -> None:
        sweep = yard.sweep(run_cap=1)
        hand = yard.hand(sweep)
        finish(hand, hand.start())
        assert becomes(yard, sweep, SweepState.finished)
        yard.engine.edit(sweep.id, None, {"run_cap": 2})
        assert yard.state(sweep) is SweepState.finished
        yard.engine.control(sweep.id, "resume")
        finish(hand, hand.start())
        assert becomes(yard, sweep, SweepState.finished)
        assert len(yard.store.runs(sweep.id)) == 2

    def test_a_lower_cap_ends_the_sweep(self, yard: Yard) -> None:
        sweep = yard.sweep(run_cap=9)
        hand = yard.hand(sweep)
        offer = running(yard, hand)
        yard.engine.edit(sweep.id, None, {"run_cap": 1})
        assert becomes(yard, sweep, SweepState.finishing)
        finish(hand, offer)
        assert becomes(yard, sweep, SweepState.finished)

    def test_values_of_a_grid_come_and_go(self, yard: Yard) -> None:
        sweep = yard.sweep(method="grid", parameters={"a": {"values": [1, 2, 3]}})
        hand = yard.hand(sweep)
        finish(hand, hand.start())
        yard.engine.control(sweep.id, "pause")
        yard.engine.edit(sweep.id, None, {"parameters.a.values": [1, 3, 4]})
        yard.engine.control(sweep.id, "resume")
        seen = []
        while not wait_until(lambda: yard.state(sweep) is SweepState.finished, 0.5):
            if not hand.offers.empty():
                offer = hand.start()
                seen.append(offer.params["a"])
                finish(hand, offer)
        assert set(seen) >= {3, 4}
        assert len(yard.store.runs(sweep.id)) == len({run.params["a"] for run in yard.store.runs(sweep.id)})

    def test_a_point_that_waits_and_is_outside_now_is_killed(self, yard: Yard) -> None:
        sweep = yard.sweep()
        inside = yard.engine.enqueue(sweep.id, {"lr": 0.5}, outside=False)
        wanted = yard.engine.enqueue(sweep.id, {"lr": 7}, outside=True)
        yard.engine.edit(sweep.id, None, {"parameters.lr.max": 0.1})
        first, second = (yard.store.run(sweep.id, run.number) for run in (inside, wanted))
        assert first is not None
        assert second is not None
        assert (first.state, first.outside) == (RunState.killed, True)
        assert first.state_reason == "version 2 of the sweep's spec has its point no longer"
        assert (second.state, second.outside) == (RunState.pending, True)

    def test_a_model_learns_the_new_space(self, yard: Yard) -> None:
        sweep = yard.sweep(method="bayes", run_cap=8)
        hand = yard.hand(sweep)
        for _ in range(6):
            offer = hand.start()
            finish(hand, offer, offer.params["lr"])
        yard.engine.edit(sweep.id, None, {"parameters.lr.min": -1, "parameters.lr.max": -0.5, "run_cap": 12})
        for _ in range(6):
            offer = hand.start()
            finish(hand, offer, offer.params["lr"])
        assert becomes(yard, sweep, SweepState.finished)
        newer = [run for run in yard.store.runs(sweep.id) if run.spec_version == 2]
        assert len(newer) >= 5
        assert all(-1 <= run.params["lr"] <= -0.5 for run in newer)
