"""One simulated sweep, from a seed to its end: `python -m simulation.simulate SEED` tells its story."""

from __future__ import annotations

import random
import sys
from typing import Any

from simulation.agents import Crew
from simulation.controller import SimController
from simulation.invariants import (
    Watch,
    check_cover,
    check_decisions,
    check_end,
    check_points,
    check_redis,
    check_rows,
    check_story,
)
from simulation.world import Faults, World

from sweepyard.controller import verbs
from sweepyard.controller.spec import read_spec
from sweepyard.schedulers.registry import resource_of
from sweepyard.tracking.records import SWEEP_ENDED, RunState, Sweep

RUNS = 50
LIMIT_S = 5000.0
QUIET_S = 90.0
"""After so long without anything to do Redis must be empty."""
EDITED = 0.3
"""The share of sweeps that are edited while they live."""


def spec_of(dice: random.Random, more: random.Random) -> dict[str, Any]:
    """A sweep of 50 runs, of one kind or another."""
    spec: dict[str, Any] = {
        "metric": {"name": "loss"},
        "method": dice.choice(["grid", "random", "random", "sobol"]),
    }
    if spec["method"] == "grid":
        spec["parameters"] = {"a": {"min": 1, "max": 10}, "b": {"values": ["x", "y", "z", 1.0, None]}}
    else:
        spec |= {"run_cap": RUNS, "parameters": {"a": {"min": 0.0, "max": 1.0}, "b": {"values": [1, 2, "x"]}}}
    if dice.random() < 0.6:
        spec["early_terminate"] = {
            "type": "hyperband",
            "min_iter": dice.choice([1, 3]),
            "eta": dice.choice([2, 3]),
        }
    match more.choice(["", "", "", "repeat", "promote", "population"]):
        case "repeat":
            spec["repeat"] = {"times": more.choice([2, 3])}
        case "promote":
            rule = {"type": "asha", "promote": True, "min_iter": 1, "eta": more.choice([2, 3])}
            spec["early_terminate"] = rule | {"resource": "epoch"}
        case "population":
            rule = {"type": "population", "size": more.choice([2, 5, 8]), "interval": more.choice([1, 3])}
            spec |= {"method": "random", "run_cap": RUNS, "early_terminate": rule | {"resource": "epoch"}}
    if more.random() < 0.2:
        spec["stall_after_s"] = more.choice([5, 60])
    return spec


def edit_of(dice: random.Random, spec: dict[str, Any]) -> dict[str, Any]:
    """What somebody may change about a sweep that lives; some of it cannot be."""
    changes: list[dict[str, Any]] = [
        {"run_cap": dice.randint(30, RUNS)},
        {"parameters.b.values": dice.choice([["x", "y"], [1, 2, "x", "z"]])},
        {"early_terminate.min_iter": dice.choice([1, 2])},
        {"retry": {"max": 2, "on": ["crashed", "preempted", "failed"]}},
    ]
    if spec["method"] != "grid":
        changes.append({"parameters.a.max": dice.choice([0.5, 1.5])})
    return dice.choice(changes)


class Simulation:
    """An installation with one sweep and a few agents."""

    def __init__(self, seed: int, faults: Faults | None = None) -> None:
        self.seed = seed
        self.world = World(seed, faults)
        self.controller = SimController(self.world)
        dice = self.world.dice
        checked = read_spec(spec_of(dice, random.Random(f"{seed}/spec"))).data
        # The id is this sweep's alone: what thinks of its points is kept by it.
        self.sweep = Sweep(id=f"s{seed:07d}", entity="e", project="p", name="", spec=checked, seed=seed)
        self.controller.create(self.sweep)
        saves = resource_of(checked.get("early_terminate")) is not None
        self.crew = Crew(self.world, self.sweep.id, dice.randint(1, 6), self.controller.wake, seed, saves=saves)
        self.controller.on_told = self.crew.hint
        self._watch = Watch(self.world.store)
        self.controller.after_step = self._look
        self.world.trouble_redis()
        self.world.trouble_store()
        self._user()

    def _user(self) -> None:
        """Somebody who cannot leave it alone: pauses, resumes, stops runs, tries others again, and may end it."""
        dice, wish = self.world.dice, self.controller.wish
        self.last_word = dice.choice(["none", "none", "none", "stop", "cancel"])

        def pause() -> None:
            wish(lambda ledger, tx, now: verbs.control(ledger, tx, "pause", now))

        def resume() -> None:
            # A wish may die with its controller: a person would look again, and so does this one.
            if self.world.store.sweep(self.sweep.id).state == "paused":
                wish(lambda ledger, tx, now: verbs.control(ledger, tx, "resume", now))
            self.world.later(dice.uniform(5, 40), resume)

        def stop_one() -> None:
            running = self.world.store.runs(self.sweep.id, states={RunState.running})
            if running:
                number = dice.choice(running).number
                wish(lambda ledger, tx, now: verbs.stop_run(ledger, tx, number, now))

        def retry() -> None:
            wish(lambda ledger, tx, now: verbs.retry(ledger, tx, [], {RunState.failed, RunState.crashed}, now))

        def edit() -> None:
            changes = edit_of(whims, self.sweep.spec)
            self.world.note(f"the user edits {changes}")
            wish(lambda ledger, tx, now: verbs.edit(ledger, tx, None, changes, now))

        def last_word() -> None:
            verb = self.last_word
            if self.world.store.sweep(self.sweep.id).state in ("pending", "running", "paused"):
                self.world.note(f"the user says {verb}")
                wish(lambda ledger, tx, now: verbs.control(ledger, tx, verb, now))
                self.world.later(60, last_word)

        self.world.every(self.world.faults.user_s, pause)
        resume()
        self.world.every(self.world.faults.user_s, stop_one)
        self.world.every(self.world.faults.user_s, retry)
        whims = random.Random(f"{self.seed}/edits")
        if whims.random() < EDITED:
            self.world.every(self.world.faults.user_s, edit)
        if self.last_word != "none" and self.world.faults.user_s:
            self.world.later(dice.uniform(20, 200), last_word)

    def run(self) -> None:
        """Live through it all and check everything.

        Raises:
            AssertionError: what was not true, the seed, and the last things that happened.
        """
        try:
            assert self.world.run(self._is_over, LIMIT_S), f"I1: not over after {LIMIT_S:.0f} s"
            check_end(self.world.store, self.sweep.id)
            check_story(self.world.store, self.sweep.id)
            check_rows(self.world.store, self.sweep.id, self.crew.started)
            check_points(self.world.store, self.sweep.id)
            check_cover(self.world.store, self.sweep.id)
            check_decisions(self.world.store, self.sweep.id)
            self.world.calm_down()
            self.world.run(lambda: False, QUIET_S)
            check_redis(self.world.broker)
        except Exception as error:
            last = "\n".join(self.world.log[-40:])
            raise AssertionError(f"seed {self.seed}: {type(error).__name__}: {error}\n{last}") from error

    def _look(self) -> None:
        self._watch.look()
        sweep = self.world.store.sweep(self.sweep.id)
        self.crew.go_on(is_over=sweep is not None and sweep.state in SWEEP_ENDED)

    def _is_over(self) -> bool:
        nobody_acts = self.crew.is_over and not (self.crew.agents or self.controller.is_wished)
        return nobody_acts and not self.world.store.open_attempts(self.sweep.id)


def main() -> None:
    simulation = Simulation(int(sys.argv[1]))
    try:
        simulation.run()
    finally:
        print("\n".join(simulation.world.log))
        print(simulation.world.faults)


if __name__ == "__main__":
    main()
