"""F19: searchers that misbehave, through the real engine: the sweep goes on, says why, and asks them again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from integration import hostile
from integration.yard import Yard

from sweepyard.clock import wait_until
from sweepyard.controller.spec import read_spec
from sweepyard.tracking.records import PriorRun, Run
from sweepyard.tracking.sql import open_store

PROPOSAL_DEADLINE_S = 20.0
"""Long enough for the start of a process on a busy machine."""
DEADLINE_S = 4 * PROPOSAL_DEADLINE_S

INSTEAD = {
    "raises": "RuntimeError: out of ideas",
    "raises_what_cannot_be_copied": "RuntimeError: ('holding a lock', <unlocked _thread.lock object",
    "raises_what_has_no_words": "its process ended with code 1",
    "raises_a_megabyte": "RuntimeError: xxx",
    "raises_what_no_store_holds": "RuntimeError: NUL , half a pair",
    "hangs_and_so_does_its_child": "it did not answer within 20 s",
    "dies": "its process ended with code 3",
    "is_killed": "its process ended with code -9",
    "calls_itself_for_ever": "RecursionError: maximum recursion depth exceeded",
    "wants_a_petabyte": "MemoryError",
    "writes_into_every_descriptor": "something else wrote into the pipe of its answers",
    "outside": "x: 99 is outside the space: 0 to 9",
    "twice": '{"x":0,"how":"twice"}: there is such a run',
    "nan": "x: 'NaN' is outside the space: 0 to 9",
    "infinity": "x: 'Infinity' is outside the space: 0 to 9",
    "text": "x: '1' is outside the space: 0 to 9",
    "bool": "x: True is outside the space: 0 to 9",
    "list": "x: [1] is outside the space: 0 to 9",
    "huge": 'hostile suggested {"x":10000',
    "extra": "y: is no parameter of this sweep (there are how, x)",
    "missing": "x: is missing",
    "no_names": "0: is no parameter of this sweep",
    "no_mapping": "which is no search.port.Suggestion",
    "too_few": "asked for 1 suggestions and answered 0: as if there were no more, but its size() is 10",
    "too_many": "asked for 1 suggestions, a list, and answered [",
    "nothing": "asked for 1 suggestions, a list, and answered null",
    "no_list": "asked for 1 suggestions, a list, and answered ",
    "no_suggestion": "which is no search.port.Suggestion",
    "a_detail_that_holds_itself": "RecursionError",
}
"""What each does, and what the reason of the random point that takes its place says."""

ALL_THE_SAME = {
    "forgets_what_it_was_told": "point 1",
    "gives_no_reason": "suggested by hostile, which gave no reason",
    "gives_no_text_as_reason": "suggested by hostile, which gave no reason",
    "gives_a_megabyte_of_reasons": "point 1 xxx",
    "gives_a_reason_that_no_store_holds": "point 1",
    "gives_a_megabyte_of_detail": "point 1",
    "gives_an_object_as_detail": "point 1",
    "gives_objects_in_its_detail": "point 1",
}
"""What is odd, but no reason to leave the point out, and the reason that the run has then."""


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Yard]:
    """One engine for all of them: what one does must not hurt the next one."""
    folder = tmp_path_factory.mktemp("hostile")
    shutil.copy(hostile.__file__, folder / "hostile_searcher.py")
    info = folder / "hostile_searcher-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile-searcher\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sweepyard.searchers]\nhostile = hostile_searcher:Hostile\n")
    store = open_store(f"sqlite:///{folder}/store.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
        yard = Yard(store, redis_server, proposal_deadline_s=PROPOSAL_DEADLINE_S)
        yard.start()
        yield yard
        yard.engine.stop()
    store.close()


def three_runs(yard: Yard, how: str) -> list[Run]:
    """The runs of a sweep whose searcher behaves, misbehaves, and behaves again."""
    parameters = {"x": {"min": 0, "max": 9}, "how": {"value": how}}
    spec = {"method": "hostile", "metric": {"name": "loss"}, "parameters": parameters, "run_cap": 3}
    known = PriorRun(sweep_id="", n=1, source="before", params={"x": 9, "how": how}, value=1.0)
    sweep = yard.engine.create_sweep(read_spec(spec), [known])
    hand = yard.hand(sweep, how, free=3)
    assert wait_until(lambda: len(yard.store.runs(sweep.id)) == 3, DEADLINE_S)
    yard.engine.control(sweep.id, "cancel")
    hand.leave.set()
    hand.dies()
    return yard.store.runs(sweep.id)


def test_each_way_is_tried() -> None:
    assert [*INSTEAD, *ALL_THE_SAME] == [*hostile.WAYS]


@pytest.mark.parametrize("how", INSTEAD)
def test_a_random_point_takes_the_place_and_says_why(yard: Yard, how: str) -> None:
    first, second, third = three_runs(yard, how)
    assert second.reason.startswith("random draw 2")
    assert "in place of hostile search: " in second.reason
    assert INSTEAD[how] in second.reason
    assert len(second.reason) < 600
    assert INSTEAD[how] in second.detail["fallback"]
    assert (first.reason, third.reason) == ("point 0", "point 2")


@pytest.mark.parametrize("how", ALL_THE_SAME)
def test_an_odd_searcher_is_used_all_the_same(yard: Yard, how: str) -> None:
    first, second, third = three_runs(yard, how)
    assert second.params["x"] == 1
    assert second.reason.startswith(ALL_THE_SAME[how])
    assert len(second.reason) <= 1000
    assert len(str(second.detail)) < 1000
    assert (first.reason, third.reason) == ("point 0", "point 2")
