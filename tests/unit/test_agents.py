"""What the engine believes about agents, from words that arrive twice and in any order."""

from __future__ import annotations

from sweepyard.bus.wire import Presence, Report, Started
from sweepyard.controller.agents import Agents

SWEEP = "sweep001"


def word(beat: int, free: int, agent: str = "a1") -> Presence:
    return Presence(sweep=SWEEP, agent=agent, host="h", pid=1, version="0", beat=beat, free=free)


def spoken(agents: Agents, presence: Presence, now: float) -> None:
    """Heard, and nothing that was sent before is outstanding."""
    agents.hear(presence, now)
    agents.count(presence)


def started(agent: str = "a1") -> Report:
    body = Started(host="h", pid=2)
    return Report(sweep=SWEEP, run="run00001", attempt=1, agent=agent, seq=1, body=body)


def test_a_started_attempt_fills_a_slot_before_the_agent_says_so() -> None:
    agents = Agents(15)
    spoken(agents, word(1, free=1), now=0)
    agents.reported(started(), now=0)
    assert agents.free(SWEEP, now=0) == 0


def test_a_word_that_overtook_reports_is_a_sign_of_life_and_counts_behind_them() -> None:
    agents = Agents(15)
    agents.hear(word(3, free=1), now=0)  # from the hash, ahead of the stream
    assert (agents.present(SWEEP, now=0), agents.free(SWEEP, now=0)) == (True, 0)
    spoken(agents, word(2, free=1), now=0)
    agents.reported(started(), now=0)
    assert agents.free(SWEEP, now=0) == 0
    agents.count(word(3, free=1))
    assert agents.free(SWEEP, now=0) == 1


def test_an_older_word_says_nothing_of_slots() -> None:
    agents = Agents(15)
    spoken(agents, word(3, free=0), now=0)
    spoken(agents, word(2, free=1), now=0)
    assert agents.free(SWEEP, now=0) == 0


def test_after_a_failed_transaction_slots_are_counted_anew() -> None:
    agents = Agents(15)
    spoken(agents, word(1, free=1), now=0)
    agents.start_again()
    assert agents.free(SWEEP, now=0) == 0
    spoken(agents, word(1, free=1), now=0)
    assert agents.free(SWEEP, now=0) == 1


def test_nobody_counts_who_is_not_known() -> None:
    agents = Agents(15)
    agents.count(word(1, free=1))
    assert agents.free(SWEEP, now=0) == 0


def test_a_silent_agent_is_lost_and_not_while_nobody_could_be_heard() -> None:
    agents = Agents(15)
    spoken(agents, word(1, free=1), now=0)
    assert agents.lost(now=15) == {}
    assert "was not heard for 16 s" in agents.lost(now=16)["a1"]
    assert agents.free(SWEEP, now=16) == 0
    agents.forgive(now=16)
    assert agents.lost(now=31) == {}


def test_the_same_beat_again_is_no_sign_of_life() -> None:
    agents = Agents(15)
    agents.hear(word(1, free=1), now=0)
    agents.hear(word(1, free=1), now=14)
    assert agents.lost(now=16)


def test_an_agent_that_left_is_gone_at_once() -> None:
    agents = Agents(15)
    agents.hear(word(1, free=1), now=0)
    agents.leave("a1", "told to end by SIGTERM")
    assert agents.lost(now=0) == {"a1": "agent a1 left (told to end by SIGTERM)"}
    assert not agents.present(SWEEP, now=0)


def test_the_store_learns_of_news_only() -> None:
    agents = Agents(15)
    agents.hear(word(1, free=1), now=0)
    assert [agent.state for agent in agents.to_save(now=0, wall=100)] == ["active"]
    agents.hear(word(2, free=1), now=5)
    assert agents.to_save(now=5, wall=105) == []
    agents.hear(word(3, free=1), now=11)
    assert [agent.last_seen_at for agent in agents.to_save(now=11, wall=111)] == [111]
    (lost,) = agents.to_save(now=27, wall=127)
    assert (lost.state, lost.first_seen_at, lost.last_seen_at) == ("lost", 100, 111)


def test_the_dead_are_buried_once_the_store_knows() -> None:
    agents = Agents(15)
    agents.hear(word(7, free=1), now=0)
    assert agents.bury() == []
    agents.to_save(now=20, wall=120)
    assert agents.bury() == ["a1"]
    spoken(agents, word(8, free=1), now=30)
    assert agents.free(SWEEP, now=30) == 1
