"""A searcher of another distribution, built as a wheel and installed by pip."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from textwrap import dedent

import pytest

from sweepyard.controller.proposals import Answer, Question
from sweepyard.controller.proposer import Proposer
from sweepyard.controller.spec import read_spec
from sweepyard.errors import SpecError
from sweepyard.search.port import Observation
from sweepyard.tracking.records import Objective

DEADLINE_S = 30.0
CODE = '''
    import time
    from sweepyard.search.port import Suggestion

    class Middle:
        """Always the middle of the best run and the far end of x."""

        def __init__(self, space, objective, seed):
            self.space, self.objective = space, objective
            if objective is not None and objective.name == "refused":
                raise ImportError("needs a licence")

        def size(self):
            return None

        def suggest(self, history, pending, n):
            if pending == [{"x": 0.25}]:
                return [Suggestion(params={"x": 7.0}, reason="outside")] * n
            if pending == [{"x": 0.75}]:
                return "nonsense"
            if pending == [{"x": 0.875}]:
                time.sleep(600)
            best = min((run.value, run.params["x"]) for run in history)[1]
            return [Suggestion(params={"x": (best + 1.0) / 2}, reason=f"the middle of {best} and 1")] * n
'''
SPEC = {"method": "middle", "parameters": {"x": {"distribution": "uniform", "min": 0.0, "max": 1.0}}}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the distribution."""
    folder = tmp_path_factory.mktemp("foreign")
    wheel, info = folder / "middle_searcher-1.0-py3-none-any.whl", "middle_searcher-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("middle_searcher.py", dedent(CODE))
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: middle-searcher\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        points = (
            "middle = middle_searcher:Middle\nrandom = middle_searcher:Middle\nabsent = no_such_module:Nothing\n"
        )
        archive.writestr(f"{info}/entry_points.txt", f"[sweepyard.searchers]\n{points}")
        archive.writestr(f"{info}/RECORD", "")
    argv = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--quiet", "--target"]
    subprocess.run([*argv, str(folder / "site"), str(wheel)], check=True)
    return folder / "site"


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture
def ask(installed: None) -> Iterator[object]:
    answers: Queue[Answer] = Queue()
    proposer = Proposer(answers.put, deadline_s=DEADLINE_S, processes=1)

    def asked(method: str = "middle", *, open_x: float = 0.5, objective: str = "loss") -> str:
        question = Question(
            sweep_id=f"{method}-{objective}",
            spec={**SPEC, "method": method},
            objective=Objective(name=objective),
            seed=1,
            history=[Observation(number=1, params={"x": 0.5}, value=1.0)],
            pending=[{"x": open_x}],
            n=1,
        )
        proposer.ask(question)
        return answers.get(timeout=DEADLINE_S).suggestions[0].reason

    yield asked
    proposer.close()


def test_a_sweep_file_may_name_what_is_installed(installed: None) -> None:
    assert read_spec(SPEC).method == "middle"
    with pytest.raises(SpecError, match=r"did you mean middle\?"):
        read_spec({**SPEC, "method": "midle"})
    with pytest.raises(SpecError, match=r"allowed: grid, .*middle"):
        read_spec({**SPEC, "method": "something"})


def test_what_is_not_installed_is_no_method() -> None:
    with pytest.raises(SpecError, match="'middle' is not known"):
        read_spec(SPEC)


def test_it_runs_in_a_process_and_what_it_does_wrong_is_told(ask) -> None:
    assert ask() == "the middle of 0.5 and 1"
    assert "in place of middle search: ValueError: middle suggested" in ask(open_x=0.25)
    assert "middle was asked for 1 suggestions, a list, and answered" in ask(open_x=0.75)
    assert "in place of middle search: ImportError: needs a licence" in ask(objective="refused")
    assert "in place of absent search: ModuleNotFoundError: No module named 'no_such_module'" in ask("absent")


def test_ours_win_over_others_of_the_same_name(ask) -> None:
    assert ask("random").startswith("random draw")


def test_one_that_hangs_is_replaced_at_the_deadline(installed: None) -> None:
    answers: Queue[Answer] = Queue()
    proposer = Proposer(answers.put, deadline_s=3.0, processes=1)
    history = [Observation(number=1, params={"x": 0.5}, value=1.0)]
    objective = Objective(name="loss")
    proposer.ask(
        Question(
            sweep_id="h", spec=SPEC, objective=objective, seed=1, history=history, pending=[{"x": 0.875}], n=1
        )
    )
    reason = answers.get(timeout=DEADLINE_S).suggestions[0].reason
    proposer.close()
    assert reason.endswith("in place of middle search: it did not answer within 3 s")
