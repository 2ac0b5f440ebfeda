"""The SDK in a training process: what it records, and what it answers."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sweepyard
from sweepyard.agent import recorder, rundir, session
from sweepyard.agent.rundir import RunInfo
from sweepyard.errors import RunStopped, UserError

PARAMS = {"lr": 0.01, "opt": {"beta": 0.9}}


@pytest.fixture(autouse=True)
def _no_session() -> Iterator[None]:
    session.forget()
    yield
    session.finish()
    session.forget()


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run that this process is."""
    info = RunInfo(
        sweep_id="abcd1234",
        id="run00017",
        number=17,
        name="calm-sweep-17",
        attempt=2,
        project="digits",
        entity="lab",
        dir=tmp_path / "run",
    )
    rundir.prepare(tmp_path / "run", PARAMS)
    for name, value in info.environment().items():
        monkeypatch.setenv(name, value)
    return tmp_path / "run"


def spool(run_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / rundir.SPOOL).read_bytes().splitlines()]


def rows(run_dir: Path) -> list[tuple[int, dict[str, Any]]]:
    return [(fact["h"][0], fact["d"]) for fact in spool(run_dir) if "h" in fact]


def test_the_seed_document_runs_as_it_stands(run_dir: Path) -> None:
    wandb = sweepyard
    wandb.init()
    config = wandb.config
    for epoch in range(2):
        wandb.log({"val_accuracy": config.lr * epoch, "epoch": epoch})
    wandb.finish()
    assert rows(run_dir) == [(0, {"val_accuracy": 0.0, "epoch": 0}), (1, {"val_accuracy": 0.01, "epoch": 1})]
    assert spool(run_dir)[-1] == {"x": 0}


def test_a_run_knows_itself(run_dir: Path) -> None:
    run = sweepyard.init()
    assert (run.id, run.number, run.name, run.attempt) == ("run00017", 17, "calm-sweep-17", 2)
    assert (run.project, run.entity, run.sweep_id, run.dir) == ("digits", "lab", "abcd1234", run_dir)
    assert sweepyard.init(config={"late": 1}) is run is sweepyard.run
    assert run.step == 0
    assert sweepyard.config.opt == {"beta": 0.9}


def test_rows_carry_their_times(run_dir: Path) -> None:
    sweepyard.init()
    sweepyard.log({"loss": 1})
    sweepyard.log({"loss": 0.5})
    (_, first_s, first_at), (_, second_s, second_at) = (fact["h"] for fact in spool(run_dir))
    assert 0 <= first_s <= second_s < 60
    assert 1.5e9 < first_at <= second_at


VALUES: list[tuple[Any, Any]] = [
    (float("nan"), "NaN"),
    (-math.inf, "-Infinity"),
    (np.float32(0.5), 0.5),
    (np.float64("inf"), "Infinity"),
    (np.int64(3), 3),
    (np.array([1.0, float("nan")]), [1.0, "NaN"]),
    (np.bool_(True), True),
    ({"deep": {"x": np.float16(1)}, 3: 4}, {"deep": {"x": 1.0}, "3": 4}),
    (None, None),
    ("line\nbreak \u2028 é \0", "line\nbreak \u2028 é \0"),
    ("lone \ud800 surrogate", "lone ? surrogate"),
    (10**30, 10**30),
    (Path("x"), "PosixPath('x')"),
]


@pytest.mark.parametrize(("value", "recorded"), VALUES)
def test_any_value_is_recorded_as_plain_json(run_dir: Path, value: Any, recorded: Any) -> None:
    sweepyard.init()
    sweepyard.log({"v": value})
    assert rows(run_dir) == [(0, {"v": recorded})]


def test_config_and_summary_are_recorded_when_set(run_dir: Path) -> None:
    run = sweepyard.init(config={"epochs": 3, "lr": 9}, allow_val_change=True)
    sweepyard.config.seed = np.int64(7)
    sweepyard.summary["best"] = math.nan
    sweepyard.log({"loss": 2, "acc": 1})
    sweepyard.log({"loss": 1})
    sweepyard.log({"acc": 5}, commit=False)
    assert dict(run.summary) == {"best": pytest.approx(math.nan, nan_ok=True), "loss": 1, "acc": 1}
    changes = [fact for fact in spool(run_dir) if "h" not in fact]
    assert changes == [{"c": {"epochs": 3}}, {"c": {"seed": 7}}, {"s": {"best": "NaN"}}]


def test_config_from_files_lies_below_the_sweeps(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run_dir.parent)
    Path("config-defaults.yaml").write_text(
        "wandb_version: 1\nlr: {value: 9, desc: rate}\nopt: {eps: 1e-5, beta: 0}\nepochs: 1\nsize: 2\n"
    )
    Path("mine.yaml").write_text("epochs: 3\n")
    sweepyard.init(config="mine.yaml")
    assert dict(sweepyard.config) == {"lr": 0.01, "opt": {"beta": 0.9, "eps": 1e-5}, "epochs": 3, "size": 2}


@pytest.mark.parametrize(
    ("text", "words"), [("a: [", "mine.yaml"), ("- 1", "names and values"), (None, "No such")]
)
def test_a_config_file_that_is_none(run_dir: Path, text: str | None, words: str) -> None:
    path = run_dir.parent / "mine.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=words):
        sweepyard.init(config=path)


def test_a_context_manager_finishes_with_the_right_code(run_dir: Path) -> None:
    with sweepyard.init():
        sweepyard.log({"a": 1}, commit=False)
    assert spool(run_dir)[-2]["d"] == {"a": 1}
    assert spool(run_dir)[-1] == {"x": 0}
    with pytest.raises(ValueError, match="boom"), sweepyard.init():
        raise ValueError("boom")
    assert spool(run_dir)[-1] == {"x": 1}
    with pytest.raises(RunStopped), sweepyard.init():
        raise RunStopped("enough")
    assert spool(run_dir)[-1] == {"x": 0}


def test_after_finish_the_same_run_can_go_on(run_dir: Path) -> None:
    for _ in range(2):
        sweepyard.init()
        sweepyard.log({"a": 1})
        sweepyard.finish()
        sweepyard.finish()
    assert [step for step, _ in rows(run_dir)] == [0, 1]


@pytest.mark.parametrize(
    "use",
    [
        lambda: sweepyard.config,
        lambda: sweepyard.summary,
        lambda: sweepyard.log({"a": 1}),
        lambda: sweepyard.should_stop(),
    ],
)
def test_nothing_works_before_init_or_after_finish(run_dir: Path, use: Callable[[], object]) -> None:
    with pytest.raises(UserError, match=r"call sweepyard.init\(\) before"):
        use()
    assert sweepyard.run is None
    sweepyard.init()
    use()
    sweepyard.finish()
    with pytest.raises(UserError, match="The run is finished"):
        use()
    assert sweepyard.run is None


def test_outside_of_a_sweep_it_is_a_dry_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SWEEPYARD_RUN_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    run = sweepyard.init(config={"lr": 1}, project="p", name="try")
    assert capsys.readouterr().err.count("dry run") == 1
    sweepyard.log({"loss": 2})
    with pytest.raises(TypeError):
        sweepyard.log(3)  # type: ignore[arg-type]
    assert (run.summary["loss"], sweepyard.config.lr, run.dir, run.name) == (2, 1, None, "try")
    assert not sweepyard.should_stop()
    sweepyard.finish()
    assert list(tmp_path.iterdir()) == []


def test_arguments_of_init(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="init\\(\\) has no argument 'projct'"):
        sweepyard.init(projct="x")
    sweepyard.init(project="other", tags=["a"], group="g", reinit=True, mode="online")
    assert "has no effect in a sweep: the run belongs to lab/digits" in capsys.readouterr().err


def test_a_disk_that_stays_full_costs_values_and_not_the_training(
    run_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (run_dir / rundir.SPOOL).unlink()
    (run_dir / rundir.SPOOL).symlink_to("/dev/full")
    monkeypatch.setattr(recorder, "GOODBYE_S", 0)
    sweepyard.init()
    sweepyard.log({"a": 1})
    sweepyard.log({"a": 2})
    assert sweepyard.summary["a"] == 2
    sweepyard.finish()
    said = capsys.readouterr().err
    assert (
        said.count("No space left on device. What is logged waits in memory, up to 8 MiB of it. (Said once.)") == 1
    )
    assert "there is no room for" in said
    assert "3 lines of it are lost" in said


def test_should_stop_follows_the_stop_file(run_dir: Path) -> None:
    sweepyard.init()
    assert not sweepyard.should_stop()
    rundir.order_stop(run_dir, "rung 9")
    assert sweepyard.should_stop()


# In a process of its own: signals and exits


def script(run_dir: Path, body: str) -> subprocess.Popen[str]:
    """A training script that has printed "ready"."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import sweepyard, time, sys, signal\n" + textwrap.dedent(body)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=20)
    return process.returncode, out, err


READY = "print('ready', flush=True)\n"
# In naps: a signal just before a long sleep is heard only after it.
NAPS = "while True: time.sleep(0.05)\n"


def test_sigterm_raises_runstopped_once(run_dir: Path) -> None:
    process = script(
        run_dir,
        f"""
        sweepyard.init()
        try:
            sweepyard.log({{"a": 1}}, commit=False)
            {READY}
            try:
                {NAPS}
            except Exception:
                print("swallowed")
        finally:
            import os; os.kill(os.getpid(), signal.SIGTERM)
            print("cleaned up")
        """,
    )
    rundir.order_stop(run_dir, "0.71 < 0.78")
    process.terminate()
    assert end(process) == (1, "cleaned up\n", "sweepyard: run stopped: 0.71 < 0.78\n")
    assert rows(run_dir) == [(0, {"a": 1})]


def test_who_asks_should_stop_is_not_interrupted(run_dir: Path) -> None:
    process = script(
        run_dir,
        f"""
        sweepyard.init()
        assert not sweepyard.should_stop()
        {READY}
        while not sweepyard.should_stop():
            time.sleep(0.01)
        print("ended well")
        """,
    )
    process.terminate()
    assert end(process) == (0, "ended well\n", "")


def test_a_handler_of_the_users_own_is_kept(run_dir: Path) -> None:
    process = script(
        run_dir,
        f"""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        sweepyard.init()
        {READY}
        {NAPS}
        """,
    )
    process.terminate()
    assert end(process)[0] == 7


def test_the_last_row_is_recorded_without_finish(run_dir: Path) -> None:
    process = script(run_dir, f"sweepyard.init(); sweepyard.log({{'a': 1}}, commit=False)\n{READY}")
    assert end(process) == (0, "", "")
    assert rows(run_dir) == [(0, {"a": 1})]
    assert "x" not in spool(run_dir)[-1]


def test_a_fork_of_the_script_does_not_record_its_rows(run_dir: Path) -> None:
    process = script(
        run_dir,
        f"""
        sweepyard.init(); sweepyard.log({{'a': 1}}, commit=False)
        {READY}
        import os
        if os.fork():
            os.wait()
        """,
    )
    assert end(process)[0] == 0
    assert rows(run_dir) == [(0, {"a": 1})]


def test_a_worker_that_the_script_forked_just_ends(run_dir: Path) -> None:
    process = script(
        run_dir,
        f"""
        import os
        sweepyard.init()
        worker = os.fork()
        if not worker:
            {READY}
            {NAPS}
        os.waitpid(worker, 0)
        """,
    )
    (worker,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(worker), signal.SIGTERM)
    assert end(process) == (0, "", "")


def test_importing_is_light_and_names_are_complete() -> None:
    code = """
        import sys, sweepyard
        assert not any(name.startswith("sweepyard.") for name in sys.modules), "names load on first use"
        sweepyard.init(); sweepyard.log({"a": 1})
        heavy = {"numpy", "scipy", "skopt", "fastapi", "sqlalchemy", "pydantic", "redis", "rq", "httpx", "yaml"}
        heavy = (heavy | {"asyncio"}) & set(sys.modules)
        assert not heavy, heavy
        for name in sweepyard.__all__:
            if name not in ("config", "summary"):
                getattr(sweepyard, name)
        import sweepyard.agent.pump
        assert callable(sweepyard.agent), sweepyard.agent
        from sweepyard import agent, RunStopped
        assert issubclass(RunStopped, BaseException)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, env={**os.environ}, timeout=60)
