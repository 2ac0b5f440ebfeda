"""What every bus must do, seen from both of its sides. A subclass gives the two ends as fixtures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue

import pytest

from sweepyard.bus.port import AgentBus, ControllerBus
from sweepyard.bus.wire import AttemptOrder, AttemptRef, Left, Offer, Presence, Report, Rows, WireRow, order_of
from sweepyard.clock import wait_until
from sweepyard.errors import Fenced

DEADLINE_S = 10.0
SWEEP = "sweep001"
REF = AttemptRef("run00001", 1)


def offer_of(run: str = REF.run, attempt: int = 1, epoch: int = 1) -> Offer:
    params = {"lr": 0.1, "o": {"b": [1]}}
    return Offer(sweep=SWEEP, run=run, number=1, attempt=attempt, name="run-1", params=params, epoch=epoch)


def presence_of(beat: int, *, agent: str = "a1", running: tuple[str, ...] = ()) -> Presence:
    return Presence(
        sweep=SWEEP, agent=agent, host="h", pid=7, version="0", beat=beat, free=1, running=list(running)
    )


def report_of(seq: int) -> Report:
    body = Rows(rows=[WireRow(seq, 0.5, 9.0, {"loss": 1.0, "odd": "NaN"})], config={"é": 1})
    return Report(sweep=SWEEP, run=REF.run, attempt=REF.attempt, agent="a1", seq=seq, body=body)


class BusConformance:
    """Tests take `agent` (the end of agent "a1") and `controller` (of epoch 1)."""

    @contextmanager
    def taking(
        self, agent: AgentBus, answer: bool = True, ready: threading.Event | None = None
    ) -> Iterator[Queue[Offer]]:
        """Offers as they arrive; the next is fetched as soon as one is here."""
        offers: Queue[Offer] = Queue()
        leave = threading.Event()
        if ready is None:
            ready = threading.Event()
            ready.set()

        def take(offer: Offer) -> bool:
            offers.put(offer)
            return answer

        threading.Thread(target=agent.take_offers, args=(SWEEP, take, leave, ready), daemon=True).start()
        yield offers
        leave.set()

    def test_an_offer_arrives_whole_and_once(self, agent: AgentBus, controller: ControllerBus) -> None:
        controller.offer(offer_of())
        controller.offer(offer_of())
        assert controller.waiting(SWEEP) == {REF}
        with self.taking(agent) as offers:
            assert offers.get(timeout=DEADLINE_S) == offer_of()
            assert wait_until(lambda: controller.waiting(SWEEP) == set(), DEADLINE_S)
            controller.offer(offer_of("run00002"))
            assert offers.get(timeout=DEADLINE_S).run == "run00002"

    def test_an_offer_that_was_not_taken_goes_back(self, agent: AgentBus, controller: ControllerBus) -> None:
        controller.offer(offer_of())
        with self.taking(agent, answer=False) as offers:
            for _ in range(3):
                assert offers.get(timeout=DEADLINE_S) == offer_of()

    def test_whoever_has_left_swallows_no_offer(self, agent: AgentBus, controller: ControllerBus) -> None:
        leave, ready = threading.Event(), threading.Event()
        ready.set()
        taking = (SWEEP, lambda _: False, leave, ready)
        taker = threading.Thread(target=agent.take_offers, args=taking, daemon=True)
        taker.start()
        leave.set()

        def has_ended() -> bool:
            agent.interrupt()
            return not taker.is_alive()

        assert wait_until(has_ended, DEADLINE_S)
        controller.offer(offer_of())
        assert controller.waiting(SWEEP) == {REF}

    def test_who_is_not_ready_leaves_it_to_others(self, agent: AgentBus, controller: ControllerBus) -> None:
        controller.offer(offer_of())
        ready = threading.Event()
        with self.taking(agent, answer=False, ready=ready) as offers:
            assert offers.get(timeout=DEADLINE_S) == offer_of()
            assert wait_until(lambda: controller.waiting(SWEEP) == {REF}, DEADLINE_S)
            controller.offer(offer_of("run00002"))
            assert offers.empty()
            ready.set()
            assert offers.get(timeout=DEADLINE_S) == offer_of()

    def test_an_offer_can_be_withdrawn_and_made_again(self, controller: ControllerBus) -> None:
        controller.offer(offer_of())
        controller.offer(offer_of("run00002"))
        controller.withdraw(SWEEP, [REF, AttemptRef("nosuch", 3)])
        assert controller.waiting(SWEEP) == {AttemptRef("run00002", 1)}
        controller.offer(offer_of())
        assert controller.waiting(SWEEP) == {AttemptRef("run00002", 1), REF}

    def test_a_closed_queue_holds_nothing_until_something_is_offered_again(
        self, agent: AgentBus, controller: ControllerBus
    ) -> None:
        assert controller.queues() == set()
        controller.offer(offer_of())
        controller.offer(offer_of("run00002"))
        assert controller.queues() == {SWEEP}
        controller.close(SWEEP)
        assert (controller.queues(), controller.waiting(SWEEP)) == (set(), set())
        controller.close("unknown1")
        controller.offer(offer_of("run00003"))
        assert controller.queues() == {SWEEP}
        with self.taking(agent) as offers:
            assert offers.get(timeout=DEADLINE_S).run == "run00003"

    def test_messages_arrive_in_order_and_stay_until_forgotten(
        self, agent: AgentBus, controller: ControllerBus
    ) -> None:
        sent = [report_of(1), report_of(2), presence_of(1), Left(sweep=SWEEP, agent="a1", reason="done")]
        agent.exchange(sent[:2], presence_of(1))
        agent.exchange(sent[2:], presence_of(2))
        first = controller.read("0", 1.0)
        assert [message for _, message in first] == sent
        assert [m for _, m in controller.read(first[1][0], 1.0)] == sent[2:]
        assert controller.read(first[-1][0], 0.05) == []
        controller.forget(first[-1][0])
        agent.exchange([report_of(3)], presence_of(3))
        assert [m for _, m in controller.read(first[-1][0], 1.0)] == [report_of(3)]

    def test_presence_says_what_was_written_before_it(self, agent: AgentBus, controller: ControllerBus) -> None:
        assert controller.presence() == ({}, "0")
        agent.exchange([], presence_of(1))
        assert controller.presence() == ({"a1": presence_of(1)}, "0")
        agent.exchange([report_of(1), report_of(2)], presence_of(2))
        (first, _), (last, _) = controller.read("0", 1.0)
        assert controller.presence() == ({"a1": presence_of(2)}, last)
        assert order_of("0") < order_of(first) < order_of(last)
        self.flush()
        assert controller.presence() == ({}, "0")
        agent.exchange([report_of(1)], presence_of(3))
        assert order_of(controller.presence()[1]) > order_of(last)

    def test_presence_is_the_last_word(self, agent: AgentBus, controller: ControllerBus) -> None:
        agent.exchange([], presence_of(1))
        agent.exchange([], presence_of(2))
        assert controller.presence()[0] == {"a1": presence_of(2)}
        agent.leave(Left(sweep=SWEEP, agent="a1"))
        assert controller.presence()[0] == {}
        assert isinstance(controller.read("0", 1.0)[-1][1], Left)

    def test_acks_and_orders_stay_while_the_attempt_is_executed(
        self, agent: AgentBus, controller: ControllerBus
    ) -> None:
        order = AttemptOrder(kind="stop", reason="rung 3: 0.1 < 0.2")
        controller.tell("a1", acks={REF: 4}, orders={REF: order})
        for beat in (1, 2, 3):
            control = agent.exchange([], presence_of(beat, running=(str(REF),)))
            assert (control.acks, control.orders) == ({str(REF): 4}, {str(REF): order})
        controller.tell("a1", acks={REF: 5})
        assert agent.exchange([], presence_of(4, running=(str(REF),))).acks == {str(REF): 5}

    def test_what_was_read_about_ended_attempts_is_forgotten(
        self, agent: AgentBus, controller: ControllerBus
    ) -> None:
        controller.tell("a1", acks={REF: 4})
        assert agent.exchange([], presence_of(1)).acks == {str(REF): 4}
        controller.tell("a1", acks={REF: 5})
        assert agent.exchange([], presence_of(2)).acks == {str(REF): 5}
        assert agent.exchange([], presence_of(3)).acks == {}

    def test_exit_is_told_and_stays(self, agent: AgentBus, controller: ControllerBus) -> None:
        controller.tell("a1", words={"exit": "the sweep is finished", "wait": ""})
        assert agent.exchange([], presence_of(1)).exit == "the sweep is finished"
        assert agent.exchange([], presence_of(2)).exit == "the sweep is finished"
        controller.tell("a1", words={"exit": "", "drain": "a person asks"})
        control = agent.exchange([], presence_of(3))
        assert (control.exit, control.wait, control.stop, control.drain) == (None, None, None, "a person asks")

    def test_orders_hint_and_acks_do_not(self, agent: AgentBus, controller: ControllerBus) -> None:
        agent.wait_for_hint(0.05)
        controller.tell("a1", acks={REF: 1})
        assert not agent.wait_for_hint(0.1)
        controller.tell("a1", orders={REF: AttemptOrder(kind="kill", reason="x")})
        assert wait_until(lambda: agent.wait_for_hint(0.1), DEADLINE_S)

    def test_intact_until_everything_was_forgotten(self, controller: ControllerBus) -> None:
        assert not controller.intact()
        assert controller.intact()
        self.flush()
        assert not controller.intact()
        assert controller.intact()

    def test_intact_until_the_last_seconds_were_forgotten(self, controller: ControllerBus) -> None:
        controller.intact()
        forget = self.remember()
        assert controller.intact()
        forget()
        assert not controller.intact()
        assert controller.intact()

    def test_agents_feel_the_pulse_of_the_controller(self, agent: AgentBus, controller: ControllerBus) -> None:
        assert agent.exchange([], presence_of(1)).pulse is None
        controller.intact()
        first = agent.exchange([], presence_of(2)).pulse
        assert first is not None
        assert agent.exchange([], presence_of(3)).pulse == first
        controller.intact()
        assert agent.exchange([], presence_of(4)).pulse not in (None, first)

    def test_agents_hear_the_youngest_controller_only(self, agent: AgentBus, controller: ControllerBus) -> None:
        ours, theirs = AttemptOrder(kind="stop", reason="ours"), AttemptOrder(kind="stop", reason="theirs")
        controller.intact()
        controller.tell("a1", acks={REF: 1}, orders={REF: ours}, words={"wait": "ours"})
        assert agent.exchange([], presence_of(1, running=(str(REF),))).orders == {str(REF): ours}
        younger = self.younger()
        younger.intact()
        silent = agent.exchange([], presence_of(2, running=(str(REF),)))
        assert (silent.acks, silent.orders, silent.wait) == ({}, {}, None)
        younger.tell("a1", acks={REF: 3}, orders={REF: theirs}, words={"wait": "theirs"})
        controller.tell("a1", acks={REF: 2}, orders={REF: ours}, words={"wait": "", "exit": "ours"})
        for beat in (3, 4):
            heard = agent.exchange([], presence_of(beat, running=(str(REF),)))
            assert (heard.acks, heard.orders) == ({str(REF): 3}, {str(REF): theirs})
            assert (heard.wait, heard.exit) == ("theirs", None)

    def test_an_older_controller_is_told_that_it_is_over(self, controller: ControllerBus) -> None:
        controller.intact()
        younger = self.younger()
        assert younger.intact()
        with pytest.raises(Fenced, match="Another controller leads"):
            controller.intact()
        assert younger.intact()

    def test_agents_take_no_offer_of_an_older_controller(self, agent: AgentBus, controller: ControllerBus) -> None:
        controller.offer(offer_of())
        younger = self.younger()
        younger.intact()
        agent.exchange([], presence_of(1))
        controller.offer(offer_of("run00002"))
        younger.offer(offer_of())
        younger.offer(offer_of("run00003"))
        assert younger.waiting(SWEEP) == {REF, AttemptRef("run00002", 1), AttemptRef("run00003", 1)}
        with self.taking(agent, ready=threading.Event()) as offers:
            taken = [offers.get(timeout=DEADLINE_S) for _ in range(2)]
            assert wait_until(lambda: younger.waiting(SWEEP) == set(), DEADLINE_S)
        assert sorted(taken, key=lambda offer: offer.run) == [offer_of(epoch=2), offer_of("run00003", epoch=2)]

    def younger(self) -> ControllerBus:
        """The end of the controller of epoch 2."""
        raise AssertionError("a subclass says how")

    def flush(self) -> None:
        """Lose everything that the bus holds."""
        raise AssertionError("a subclass says how")
