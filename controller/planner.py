"""What to do next for a sweep: a pure function of what is known about it.

Level-triggered: the plan follows from the state alone, never from what happened last, so that planning again
after a crash, twice, or too late is always right.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from sweepyard.schedulers.port import Turn
from sweepyard.tracking.records import AttemptState, Objective, SweepState

SLOTS_PER_UNSEEN = 16
"""A ready suggestion may have missed one result for so many slots, busy or free: it knows nothing of what all the
open runs will bring, either. With fewer slots none is made ready, and every suggestion knows every result."""


class OpenAttempt(NamedTuple):
    """An attempt that has not ended. `age_s`: how long ago its offer was last in its queue (None: not yet, or it
    was started).
    """

    run_id: str
    state: AttemptState
    agent_id: str
    age_s: float | None


class View(NamedTuple):
    """All that planning for one sweep looks at.

    `best`: the best objective of all runs that have not failed, running ones included; `best_run`: its number.
    `free`: slots that live agents of the sweep could fill now. `lost_agents`: reasons by agent id.
    `proposing`: a searcher has been asked and has not answered yet. `vanished`: runs whose offer is in no queue.
    `budget`: what may be spent; if it limits them, `hours`: since the first run was made, and `failures`: runs
    that failed or crashed.
    `times`: how often a point is tried. `missing`: how many runs points that were begun still lack.
    `costly`: its answer takes a while. `unseen`: results that came in after the suggestion that is ready for the
    next run was asked for; None: none is ready. `paused`: how many runs wait for their turn, if they
    `takes_turns`; `turns`: those that have one when there is a slot; `members`: how many runs there are to be
    before they take turns. `missing` and `turns` look through all runs, and are asked only where that matters.
    """

    state: SweepState
    objective: Objective | None
    run_cap: int | None
    budget: Mapping[str, float]
    hours: float
    failures: int
    target: float | None
    created: int
    best: float | None
    best_run: int
    exhausted: bool
    attempts: Sequence[OpenAttempt]
    free: int
    costly: bool
    proposing: bool
    times: int
    missing: Callable[[], int]
    unseen: int | None
    lost_agents: Mapping[str, str]
    vanished: frozenset[str]
    lost_after_s: float
    paused: int = 0
    takes_turns: bool = False
    turns: Callable[[], Sequence[Turn]] = tuple
    members: int | None = None


@dataclass(frozen=True, slots=True)
class Propose:
    """Suggestions for `n` runs, here and now."""

    n: int


@dataclass(frozen=True, slots=True)
class Repeat:
    """`n` more runs of points that lack some."""

    n: int


@dataclass(frozen=True, slots=True)
class Ask:
    """One suggestion, from a process of its own; `waiting`: an agent has nothing to do until it comes."""

    waiting: bool


@dataclass(frozen=True, slots=True)
class Take:
    """A run of the suggestion that is ready."""


@dataclass(frozen=True, slots=True)
class Offer:
    run_id: str


@dataclass(frozen=True, slots=True)
class Withdraw:
    run_id: str


@dataclass(frozen=True, slots=True)
class Lose:
    run_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Go:
    """A paused run goes on, or its successor does."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class Dismiss:
    """Paused runs get no further turn."""

    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    reason: str


@dataclass(frozen=True, slots=True)
class Close:
    reason: str


Intent: TypeAlias = Propose | Ask | Take | Repeat | Offer | Withdraw | Lose | Go | Dismiss | Finish | Close


def plan(view: View) -> list[Intent]:
    """The intents that would bring the sweep forward, in the order in which to carry them out."""
    if view.state in (SweepState.finished, SweepState.cancelled):
        return _losses(view)
    losses = _losses(view)
    if losses:
        return losses
    if view.state is SweepState.paused:
        return [Withdraw(a.run_id) for a in _offered(view) if a.age_s is not None]
    offers: list[Intent] = [Offer(a.run_id) for a in _offered(view) if a.age_s is None]
    if view.state is SweepState.finishing:
        if view.attempts:
            return offers
        return (
            [Dismiss("it was paused when its sweep ended")] if view.paused else [Close("all its runs have ended")]
        )
    done = _done(view)
    if done is not None:
        return [*offers, Finish(done)]
    wanted = view.free - len(_offered(view))
    turns: list[Intent] = [Go(turn) for turn in view.turns()[:wanted]] if wanted > 0 else []
    complete = _complete(view)
    if complete is not None:
        # Whoever runs may pause, and change whose turn it is.
        goes_on = (view.takes_turns and view.attempts) or view.turns()
        return [*offers, *turns] if goes_on else [*offers, Finish(complete)]
    wanted -= len(turns)
    for limit in (view.run_cap, view.members):
        if limit is not None:
            wanted = min(wanted, limit - view.created)
    again = min(wanted, view.missing()) if wanted > 0 else 0
    repeats: list[Intent] = [Repeat(again)] if again else []
    points = math.ceil((wanted - again) / view.times)
    proposals = _ahead(view, points) if view.costly else [Propose(points)] if points > 0 else []
    return [*offers, *turns, *repeats, *proposals]


def _ahead(view: View, points: int) -> list[Intent]:
    """What a costly searcher is to do: to answer who waits, and to make one suggestion ready where it may be used.

    One question at a time: a searcher must know its last answer, or it would give it again.
    """
    most_unseen = (len(view.attempts) + max(0, points)) // SLOTS_PER_UNSEEN
    if points > 0 and view.unseen is not None and view.unseen <= most_unseen:
        return [Take()]
    outdated = view.unseen is None or view.unseen > 0
    if view.proposing or not (points > 0 or (most_unseen > 0 and outdated)):
        return []
    return [Ask(waiting=points > 0)]


def _offered(view: View) -> list[OpenAttempt]:
    return [attempt for attempt in view.attempts if attempt.state is AttemptState.offered]


def _losses(view: View) -> list[Intent]:
    """Attempts that nobody executes: their agent is gone, or it took the offer and was never heard of."""
    losses: list[Intent] = []
    for attempt in view.attempts:
        if attempt.state is AttemptState.running and attempt.agent_id in view.lost_agents:
            losses.append(Lose(attempt.run_id, view.lost_agents[attempt.agent_id]))
        elif (
            attempt.run_id in view.vanished
            and attempt.state is AttemptState.offered
            and attempt.age_s is not None
            and attempt.age_s > view.lost_after_s
        ):
            reason = f"its offer left the queue and no agent has started it for {view.lost_after_s:g} s"
            losses.append(Lose(attempt.run_id, reason))
    return losses


def _done(view: View) -> str | None:
    """Why the sweep should come to an end, None if it should go on."""
    if view.target is not None and view.best is not None and view.objective is not None:
        reached = view.best == view.target or view.objective.better(view.best, view.target)
        if reached:
            return f"{view.objective.name} reached the target {view.target:g} (run {view.best_run}: {view.best:g})"
    if (limit := view.budget.get("hours")) is not None and view.hours >= limit:
        return f"its budget of {limit:g} hours is used up"
    if (limit := view.budget.get("failures")) is not None and view.failures >= limit:
        return f"{view.failures} runs failed or crashed, and its budget allows {limit:g}"
    return None


def _complete(view: View) -> str | None:
    """Why no further run should be proposed, None if some should."""
    if view.run_cap is not None and view.created >= view.run_cap:
        return f"run_cap {view.run_cap} is reached"
    if view.members is not None and view.created >= view.members:
        return f"all {view.members} members of its population have come to their end"
    if view.exhausted and not view.missing():
        return "every point of the space has been tried"
    return None
