"""The engine on a real store and a real Redis; the agents are this test, speaking through the real bus."""

from __future__ import annotations

import pytest
import redis
from integration.yard import DEADLINE_S, LOST_AFTER_S, Yard

from sweepyard.bus.keys import Keys
from sweepyard.bus.wire import (
    Rows,
    Started,
    WireRow,
)
from sweepyard.clock import wait_until
from sweepyard.errors import Conflict, NotFound, SpecError
from sweepyard.tracking.records import AttemptState, Outcome, RunState, SweepState


def test_a_sweep_runs_to_its_cap_and_finishes(yard: Yard) -> None:
    sweep = yard.sweep(run_cap=3)
    hand = yard.hand(sweep)
    for loss in (3.0, 1.0, 2.0):
        offer = hand.start()
        hand.log(offer, 9.0, loss)
        hand.end(offer)
    assert wait_until(lambda: yard.state(sweep) is SweepState.finished, DEADLINE_S)
    runs = yard.store.runs(sweep.id)
    assert [run.state for run in runs] == [RunState.finished] * 3
    assert [run.objective for run in runs] == [3.0, 1.0, 2.0]
    best = yard.store.best_run(sweep)
    assert best is not None
    assert best.number == 2
    assert wait_until(lambda: hand.present().exit is not None, DEADLINE_S)
    assert all(run.reason for run in runs)


def test_reports_count_once_and_in_order(yard: Yard) -> None:
    sweep = yard.sweep(run_cap=1)
    hand = yard.hand(sweep)
    offer = hand.start()
    first, second = (
        Rows(rows=[WireRow(0, 0.1, 1.0, {"loss": 5.0})]),
        Rows(rows=[WireRow(1, 0.2, 2.0, {"loss": 4.0})]),
    )
    hand.report(offer, second, seq=3)  # a gap: seq 2 has not come yet
    hand.report(offer, first, seq=2)
    hand.report(offer, first, seq=2)
    assert wait_until(lambda: hand.present().acks.get(str(offer.ref)) == 2, DEADLINE_S)
    hand.report(offer, second, seq=3)
    assert wait_until(lambda: hand.present().acks.get(str(offer.ref)) == 3, DEADLINE_S)
    run = yard.store.run(sweep.id, offer.run)
    assert run is not None
    assert [row.data["loss"] for row in yard.store.history(run.key)] == [5.0, 4.0]
    assert run.objective == 4.0


def test_values_that_are_not_finite_are_stored_and_never_count(yard: Yard) -> None:
    sweep = yard.sweep(run_cap=1)
    hand = yard.hand(sweep)
    offer = hand.start()
    hand.log(offer, "NaN", "-Infinity", 2.0, "Infinity")
    hand.end(offer)
    assert wait_until(lambda: yard.run_state(offer) is RunState.finished, DEADLINE_S)
    run = yard.store.run(sweep.id, offer.run)
    assert run is not None
    assert (run.objective, run.steps, run.lines) == (2.0, 1, 4)
    assert run.summary["loss"] == "Infinity"


def test_a_lost_agent_s_run_is_tried_again_and_its_late_reports_are_refused(yard: Yard) -> None:
    sweep = yard.sweep(run_cap=1)
    zombie = yard.hand(sweep, "zombie")
    offer = zombie.start()
    zombie.log(offer, 0.001)
    zombie.is_heard(offer)
    zombie.dies()

    def is_lost() -> bool:
        if [agent.state for agent in yard.store.agents(sweep.id)] == ["lost"]:
            return True
        yard.clock.ahead_s += 0.6 * LOST_AFTER_S  # in steps: its last words may be heard only now
        return False

    assert wait_until(is_lost, DEADLINE_S)
    heir = yard.hand(sweep, "heir")
    again = heir.start()
    heir.is_heard(again)
    assert (again.run, again.attempt, again.params) == (offer.run, 2, offer.params)
    assert {agent.id: agent.state for agent in yard.store.agents(sweep.id)}["heir"] == "active"
    zombie.log(offer, 0.0001)
    assert zombie.order(offer).kind == "drop"
    zombie.log(offer, 0.0002)
    heir.log(again, 7.0)
    heir.end(again)
    assert wait_until(lambda: yard.state(sweep) is SweepState.finished, DEADLINE_S)
    run = yard.store.run(sweep.id, offer.run)
    assert run is not None
    assert run.objective == 7.0
    assert [a.state for a in yard.store.attempts(run.key)] == [AttemptState.lost, AttemptState.ended]
    assert "was not heard" in yard.store.attempts(run.key)[0].reason
    told = [event.text for event in yard.store.events(run_key=run.key, limit=100) if event.kind == "attempt.late"]
    assert told == ["attempt 1 was heard again after it was given up: 1 row refused, and it is to end"]


def test_an_attempt_that_has_ended_takes_nothing_more(yard: Yard) -> None:
    """Its agent may execute it once more, offered by a Redis that has lost its last seconds."""
    sweep = yard.sweep(run_cap=1)
    hand = yard.hand(sweep)
    offer = hand.start()
    hand.log(offer, 1.0)
    hand.end(offer)
    assert wait_until(lambda: yard.run_state(offer) is RunState.finished, DEADLINE_S)
    hand.running.append(str(offer.ref))
    assert hand.report(offer, Started(host="test", pid=2), seq=1).orders == {}
    hand.log(offer, 0.5)
    assert hand.order(offer).kind == "drop"
    run = yard.store.run(sweep.id, offer.run)
    assert run is not None
    assert (run.state, run.objective, run.lines) == (RunState.finished, 1.0, 1)


def test_an_offer_belongs_to_the_first_agent_that_starts_it(yard: Yard) -> None:
    sweep = yard.sweep(run_cap=1)
    first = yard.hand(sweep, "first")
    offer = first.start()
    second = yard.hand(sweep, "second", free=0)
    second.report(offer, Started(host="test", pid=2))
    assert second.order(offer).kind == "drop"
    first.log(offer, 1.0)
    first.end(offer)
    assert wait_until(lambda: yard.run_state(offer) is RunState.finished, DEADLINE_S)


def test_a_restarted_controller_goes_on_where_the_last_one_was(yard: Yard) -> None:
    sweep = yard.sweep(run_cap=4)
    hand = yard.hand(sweep)
    offer = hand.start()
    hand.log(offer, 5.0)
    yard.restart()
    hand.log(offer, 3.0)
    hand.end(offer)
    for _ in range(3):
        offer = hand.start()
        yard.restart()
        hand.log(offer, 1.0)
        hand.end(offer)
    assert wait_until(lambda: yard.state(sweep) is SweepState.finished, DEADLINE_S)
    runs = yard.store.runs(sweep.id)
    assert [(run.number, run.attempt, run.state) for run in runs] == [
        (n, 1, RunState.finished) for n in (1, 2, 3, 4)
    ]
    assert runs[0].lines == 2


def test_a_clock_that_jumps_costs_nothing(yard: Yard) -> None:
    sweep = yard.sweep(run_cap=2)
    hand = yard.hand(sweep)
    for wrong_s in (3600.0, -3600.0):
        offer = hand.start()
        hand.log(offer, 3.0)
        hand.is_heard(offer)
        yard.clock.wrong_s = wrong_s
        hand.log(offer, 2.0)
        hand.is_heard(offer)
        hand.end(offer)
    assert wait_until(lambda: yard.state(sweep) is SweepState.finished, DEADLINE_S)
    for run in yard.store.runs(sweep.id):
        assert (run.state, run.attempt, run.objective) == (RunState.finished, 1, 2.0)
        assert [row.data["loss"] for row in yard.store.history(run.key)] == [3.0, 2.0]


def test_a_flushed_redis_costs_nothing(yard: Yard, redis_url: str) -> None:
    sweep = yard.sweep(run_cap=2)
    hand = yard.hand(sweep)
    offer = hand.start()
    hand.is_heard(offer)
    yard.engine.control(sweep.id, "pause")
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    hand.log(offer, 1.0)
    hand.end(offer)
    yard.engine.control(sweep.id, "resume")
    second = hand.start()
    hand.log(second, 1.0)
    hand.end(second)
    assert wait_until(lambda: yard.state(sweep) is SweepState.finished, DEADLINE_S)


def test_an_order_in_a_flushed_redis_is_given_again(yard: Yard, redis_url: str) -> None:
    sweep = yard.sweep()
    hand = yard.hand(sweep)
    offer = hand.start()
    assert wait_until(lambda: yard.run_state(offer) is RunState.running, DEADLINE_S)
    yard.engine.control(sweep.id, "cancel")
    with redis.Redis.from_url(redis_url) as client:
        assert wait_until(
            lambda: client.exists(Keys(yard.prefix).agent(hand.id, yard.store.leader().epoch)) == 1, DEADLINE_S
        )
        client.flushall()
    assert hand.order(offer).kind == "kill"


def test_offers_in_a_flushed_redis_are_made_again(yard: Yard, redis_url: str) -> None:
    sweep = yard.sweep(run_cap=2)
    blocked = yard.hand(sweep, free=1)
    first = blocked.start()
    blocked.is_heard(first)
    blocked.free = 1  # claims a slot that it will not use: run 2 stays in the queue
    assert wait_until(lambda: len(yard.store.runs(sweep.id)) == 2, DEADLINE_S)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    blocked.free = 0
    blocked.end(first)
    second = blocked.start()
    assert second.number == 2


def test_preempted_runs_come_back_without_penalty(yard: Yard) -> None:
    sweep = yard.sweep(run_cap=1)
    hand = yard.hand(sweep)
    for attempt in range(1, 6):
        offer = hand.start()
        assert offer.attempt == attempt
        hand.end(offer, Outcome.preempted, "the agent was asked to leave")
    offer = hand.start()
    hand.log(offer, 1.0)
    hand.end(offer)
    assert wait_until(lambda: yard.state(sweep) is SweepState.finished, DEADLINE_S)


def test_a_bad_run_is_stopped_when_its_report_arrives(yard: Yard) -> None:
    rule = {"type": "hyperband", "min_iter": 2, "eta": 3, "min_peers": 2}
    sweep = yard.sweep(run_cap=2, early_terminate=rule)
    good, bad = yard.hand(sweep, "good"), yard.hand(sweep, "bad")
    a, b = good.start(), bad.start()
    good.log(a, 1.0, 0.5)
    good.is_heard(a)
    bad.log(b, 9.0, 9.0)
    order = bad.order(b)
    assert order.kind == "stop"
    assert "9" in order.reason
    bad.end(b, Outcome.stopped)
    good.end(a)
    assert wait_until(lambda: yard.state(sweep) is SweepState.finished, DEADLINE_S)
    run = yard.store.run(sweep.id, b.run)
    assert run is not None
    assert (run.state, run.state_reason, run.objective) == (RunState.stopped, order.reason, 9.0)
    decisions = yard.store.decisions(sweep.id, run.key)
    assert [(d.action, d.rung, d.value) for d in decisions] == [("stop", 2, 9.0)]


def test_verbs(yard: Yard) -> None:
    sweep = yard.sweep()
    hand = yard.hand(sweep)
    offer = hand.start()
    assert yard.engine.control(sweep.id, "pause").state is SweepState.paused
    hand.end(offer)
    assert yard.engine.control(sweep.id, "resume").state is SweepState.running
    offer = hand.start()
    assert offer.number == 2
    assert wait_until(lambda: yard.run_state(offer) is RunState.running, DEADLINE_S)
    assert yard.engine.control(sweep.id, "cancel").state is SweepState.cancelled
    assert hand.order(offer).kind == "kill"
    hand.end(offer, Outcome.killed)
    assert wait_until(lambda: yard.run_state(offer) is RunState.killed, DEADLINE_S)
    with pytest.raises(Conflict, match="is cancelled"):
        yard.engine.control(sweep.id, "pause")
    with pytest.raises(NotFound, match="no sweep 'nosuch'"):
        yard.engine.control("nosuch", "pause")


def test_a_stopped_sweep_lets_its_running_runs_end(yard: Yard) -> None:
    sweep = yard.sweep()
    hand = yard.hand(sweep)
    offer = hand.start()
    hand.is_heard(offer)
    assert yard.engine.control(sweep.id, "stop").state is SweepState.finishing
    hand.log(offer, 1.0)
    hand.end(offer)
    assert wait_until(lambda: yard.state(sweep) is SweepState.finished, DEADLINE_S)
    assert len(yard.store.runs(sweep.id)) == 1


def test_a_grid_finishes_by_itself_and_covers_its_space(yard: Yard) -> None:
    sweep = yard.sweep(method="grid", parameters={"a": {"values": [1, 2]}, "b": {"values": ["x", "y"]}})
    hand = yard.hand(sweep)
    for _ in range(4):
        hand.end(hand.start())
    assert wait_until(lambda: yard.state(sweep) is SweepState.finished, DEADLINE_S)
    points = [(run.params["a"], run.params["b"]) for run in yard.store.runs(sweep.id)]
    assert sorted(points) == [(1, "x"), (1, "y"), (2, "x"), (2, "y")]


def test_a_target_that_is_reached_finishes_the_sweep(yard: Yard) -> None:
    sweep = yard.sweep(metric={"name": "loss", "goal": "minimize", "target": 0.5})
    hand = yard.hand(sweep)
    offer = hand.start()
    hand.log(offer, 0.4)
    hand.end(offer)
    assert wait_until(lambda: yard.state(sweep) is SweepState.finished, DEADLINE_S)
    found = yard.store.sweep(sweep.id)
    assert found is not None
    assert "target 0.5" in found.reason


def test_bayes_proposes_from_its_own_process(yard: Yard) -> None:
    sweep = yard.sweep(method="bayes", run_cap=7)
    hand = yard.hand(sweep)
    for _ in range(7):
        offer = hand.start()
        hand.log(offer, (offer.params["lr"] - 0.3) ** 2)
        hand.end(offer)
    assert wait_until(lambda: yard.state(sweep) is SweepState.finished, DEADLINE_S)
    runs = yard.store.runs(sweep.id)
    assert all("in place of" not in run.reason for run in runs)
    assert all(run.detail["cost_ms"] > 0 for run in runs)


def test_agents_that_ask_at_once_get_different_points(yard: Yard) -> None:
    sweep = yard.sweep(method="bayes", run_cap=8)
    hands = [yard.hand(sweep, f"a{i}") for i in range(4)]
    for _ in range(2):
        offers = [hand.start() for hand in hands]
        for hand, offer in zip(hands, offers, strict=True):
            hand.log(offer, 1.0)
            hand.end(offer)
    assert wait_until(lambda: yard.state(sweep) is SweepState.finished, DEADLINE_S)
    assert len({run.params["lr"] for run in yard.store.runs(sweep.id)}) == 8


def test_initial_points_are_tried_first(yard: Yard) -> None:
    sweep = yard.sweep(run_cap=3, initial_points=[{"lr": 0.25}, {"lr": 0.75}])
    hand = yard.hand(sweep)
    for expected in (0.25, 0.75):
        offer = hand.start()
        assert offer.params == {"lr": expected}
        hand.end(offer)
    third = hand.start()
    assert third.params["lr"] not in (0.25, 0.75)
    runs = yard.store.runs(sweep.id)
    assert [run.reason for run in runs[:2]] == ["initial point 1 of 2", "initial point 2 of 2"]


def test_an_enqueued_point_is_tried_next_and_survives_a_restart(yard: Yard) -> None:
    sweep = yard.sweep(run_cap=3)
    run = yard.engine.enqueue(sweep.id, {"lr": 0.5}, outside=False)
    assert (run.number, run.params, run.reason, run.state) == (1, {"lr": 0.5}, "enqueued by the user", "pending")
    yard.engine.enqueue(sweep.id, {"lr": 7}, outside=True)
    yard.restart()
    hand = yard.hand(sweep)
    for expected in (0.5, 7):
        offer = hand.start()
        assert offer.params == {"lr": expected}
        hand.end(offer)
    drawn = hand.start()
    assert 0 <= drawn.params["lr"] <= 1
    with pytest.raises(Conflict, match=r"takes no new runs|run_cap"):
        yard.engine.enqueue(sweep.id, {"lr": 0.1}, outside=False)
    hand.end(drawn)
    assert wait_until(lambda: yard.state(sweep) is SweepState.finished, DEADLINE_S)


def test_a_point_that_is_enqueued_while_the_sweep_is_paused_waits(yard: Yard) -> None:
    sweep = yard.sweep(run_cap=1)
    yard.engine.control(sweep.id, "pause")
    yard.engine.enqueue(sweep.id, {"lr": 0.5}, outside=False)
    assert yard.state(sweep) is SweepState.paused
    hand = yard.hand(sweep)
    yard.engine.control(sweep.id, "resume")
    assert hand.start().params == {"lr": 0.5}


def test_a_point_outside_the_space_is_refused(yard: Yard) -> None:
    sweep = yard.sweep()
    with pytest.raises(SpecError, match=r"point: lr: 2 is outside the space: 0 to 1"):
        yard.engine.enqueue(sweep.id, {"lr": 2}, outside=False)
    with pytest.raises(NotFound):
        yard.engine.enqueue("nope0000", {"lr": 0.5}, outside=False)
    assert yard.store.runs(sweep.id) == []
