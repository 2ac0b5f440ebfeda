"""`sweep-agent` and `sweepyard.agent()` against a real service, as a user starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis

from sweepyard.agent.main import connect
from sweepyard.agent.options import Options
from sweepyard.bus.embedded import EmbeddedRedis
from sweepyard.client import Client
from sweepyard.clock import wait_until
from sweepyard.errors import UserError
from sweepyard.local import ensure_service
from sweepyard.settings import Settings
from sweepyard.tracking.records import RunState
from sweepyard.views import RunView

DEADLINE_S = 60.0
COMMAND = (sys.executable, "-P", "-c", "from sweepyard.agent_cli import main; main()")
CONFIG = {
    "method": "random",
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {"lr": {"min": 0.0, "max": 1.0}, "bs": {"values": [16, 32]}},
    "project": "digits",
    "entity": "lab",
}
TRAIN = """
    import sys, time
    import sweepyard as wandb

    def train():
        wandb.init()
        config = wandb.config
        for epoch in range(3):
            wandb.log({"loss": config.lr / (epoch + 1), "epoch": epoch})
        wandb.finish()

    def takes(config):
        wandb.log({"loss": config.lr})

    def bad():
        print("a word before")
        raise ValueError("boom")

    def sleeps():
        wandb.init()
        wandb.log({"up": 1})
        while True:  # in naps: a signal just before a long sleep is heard only after it
            time.sleep(0.05)

    def two(a, b):
        pass
"""


class Service:
    """A service in a folder of its own, and the commands of a user in that folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.joinpath("train.py").write_text(textwrap.dedent(TRAIN))
        started = ensure_service(Settings(dir=folder / ".sweepyard"))
        self.process, self.url = started.process, started.url
        self.client = Client(self.url)
        self.env = {**os.environ, "SWEEPYARD_URL": self.url, "SWEEPYARD_DIR": str(folder / ".sweepyard")}

    def sweep(self, **changes: Any) -> str:
        return self.client.create_sweep({**CONFIG, **changes}).id

    def popen(self, *argv: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            argv,
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **{"start_new_session": True, **options},
        )

    def agent(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        return self.popen(*COMMAND, *words, **options)

    def script(self, sweep_id: str, function: str = "train", count: int | None = None) -> subprocess.Popen[str]:
        """A user's script that works on a sweep."""
        body = f"import sweepyard, train; sweepyard.agent({sweep_id!r}, function=train.{function}, count={count})"
        return self.popen(sys.executable, "-c", body)

    def runs(self, sweep_id: str) -> list[RunView]:
        return self.client.runs(sweep_id).items

    def up(self, sweep_id: str, number: int = 1) -> None:
        """Wait until a run has logged."""

        def is_up() -> bool:
            runs = {run.number: run for run in self.runs(sweep_id)}
            return number in runs and "up" in runs[number].summary

        assert wait_until(is_up, DEADLINE_S), self.runs(sweep_id)

    def states(self, sweep_id: str) -> list[RunState]:
        return [run.state for run in self.runs(sweep_id)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("service"))
    yield service
    service.client.close()
    assert service.process is not None
    service.process.terminate()
    service.process.wait(DEADLINE_S)


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=DEADLINE_S)
    return process.returncode, out, err


def children(service: Service) -> list[int]:
    """Processes that are runs: they have the run's folder in their environment or were forked from a forker."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"{service.folder}/.sweepyard/runs".encode() in b"".join(
                os.readlink(link).encode() for link in path.glob("fd/[12]")
            ):
                found.append(int(path.name))
        except OSError:
            continue
    return found


def test_a_function_of_the_script(service: Service) -> None:
    sweep_id = service.sweep()
    code, out, err = end(service.script(sweep_id, count=3))
    assert (code, err) == (0, "")
    assert service.states(sweep_id) == [RunState.finished] * 3
    assert all(run.summary["epoch"] == 2 for run in service.runs(sweep_id))
    assert out.count(" started: ") == 3
    assert f"/lab/digits/sweeps/{sweep_id}" in out


def test_a_function_by_name(service: Service) -> None:
    sweep_id = service.sweep()
    code, out, err = end(service.agent(f"lab/digits/{sweep_id}", "--function", "train:takes", "--count", "2"))
    assert (code, err) == (0, "")
    assert service.states(sweep_id) == [RunState.finished] * 2
    assert "this agent ends: it was started for 2 runs" in out


def test_a_command_with_its_arguments(service: Service) -> None:
    (service.folder / "cli.py").write_text(
        "import sys, sweepyard\nsweepyard.init(config={'size': 3})\nsweepyard.log({'argv': sys.argv[1:]})\n"
    )
    sweep_id = service.sweep(program="cli.py", run_cap=2)
    code, out, err = end(service.agent(sweep_id, "--quiet"))
    assert (code, out, err) == (0, "", "")
    for run in service.runs(sweep_id):
        assert run.state is RunState.finished
        assert run.summary["argv"] == [f"--bs={run.params['bs']}", f"--lr={run.params['lr']}"]
    assert service.client.sweep(sweep_id).state == "finished"
    code, out, _ = end(service.agent(sweep_id))
    assert code == 0
    assert f"sweep {sweep_id} is finished" in out
    assert "nothing to do" in out


def test_failures_are_kept_and_the_sweep_goes_on(service: Service) -> None:
    sweep_id = service.sweep()
    code, out, _ = end(service.script(sweep_id, "bad", count=2))
    assert code == 0
    assert service.states(sweep_id) == [RunState.failed] * 2
    assert "failed after" in out
    detail = service.client.run(sweep_id, 1)
    assert detail.state_reason == "ValueError: boom"
    assert "a word before" in detail.attempts[0].tail
    assert 'raise ValueError("boom")' in detail.attempts[0].tail


MISTAKES: list[tuple[list[str], Mapping[str, Any], int, str]] = [
    (["--function", "train:two"], {}, 2, "An agent cannot call two, which needs (a, b)"),
    (["--function", "train:nosuch"], {}, 2, "'train' has no 'nosuch'"),
    (["--function", "nosuch:train"], {}, 2, "cannot import 'nosuch'"),
    (["--function", "train:train", "--program", "train.py"], {}, 2, "not both"),
    ([], {}, 2, "names no program to run"),
    ([], {"program": "nosuch.py"}, 2, "The program 'nosuch.py' does not exist in "),
    (["--program", "other.py"], {"program": "train.py"}, 2, "The program 'other.py' does not exist in "),
    ([], {"command": ["x", "${envvar:NO_SUCH_VARIABLE}"]}, 2, "no variable 'NO_SUCH_VARIABLE'"),
    (["--url", "http://127.0.0.1:9"], {}, 1, "No sweepyard service answers at http://127.0.0.1:9"),
    (["--url", "nonsense"], {}, 2, "'nonsense' is not the address of a service"),
]


@pytest.mark.parametrize(
    ("words", "config", "exit_code", "sentence"), MISTAKES, ids=[case[3] for case in MISTAKES]
)
def test_mistakes_get_a_sentence(
    service: Service, words: list[str], config: dict[str, Any], exit_code: int, sentence: str
) -> None:
    sweep_id = service.sweep(**config)
    code, _, err = end(service.agent(sweep_id, *words))
    assert code == exit_code
    assert sentence in err.splitlines()[-1]
    assert service.runs(sweep_id) == []


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("nosuch00", "nosuch00"), ("other/project/{id}", "belongs to lab/digits, not to other/project")],
)
def test_a_sweep_that_is_not_there(service: Service, name: str, sentence: str) -> None:
    code, _, err = end(service.agent(name.format(id=service.sweep()), "--function", "train:train"))
    assert code == 2
    assert sentence in err
    assert "Traceback" not in err


def test_no_service_anywhere(service: Service, tmp_path: Path) -> None:
    env = {key: value for key, value in service.env.items() if not key.startswith("SWEEPYARD_")}
    argv = [*COMMAND, "abcd1234"]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 1
    assert "No service has ever run in .sweepyard" in done.stderr


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            "sweepyard.agent('x', function=lambda a, b: 0)",
            "UserError: An agent cannot call <lambda>, which needs (a, b)",
        ),
        ("sweepyard.agent('x', function=3)", "takes a function; got int 3"),
        ("sweepyard.agent('nosuch00', function=print)", "nosuch00"),
        ("sweepyard.sweep({'method': 'nosuch'})", "SpecError"),
        ("sweepyard.sweep(3)", "sweep() takes a dict"),
    ],
)
def test_mistakes_in_python(service: Service, call: str, sentence: str) -> None:
    code, _, err = end(service.popen(sys.executable, "-c", f"import sweepyard; {call}"))
    assert code == 1
    assert sentence in err


def starters(service: Service) -> list[Callable[[str], subprocess.Popen[str]]]:
    return [
        lambda sweep_id: service.agent(sweep_id, "--function", "train:sleeps"),
        lambda sweep_id: service.script(sweep_id, "sleeps"),
    ]


@pytest.mark.parametrize("how", [0, 1], ids=["command", "script"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_the_run_goes_back_to_the_sweep(service: Service, how: int, number: signal.Signals) -> None:
    sweep_id = service.sweep(run_cap=1)
    agent = starters(service)[how](sweep_id)
    service.up(sweep_id)
    agent.send_signal(number)
    code, out, err = end(agent)
    if how == 0:
        assert (code, err) == (0, "")
    else:
        assert code == -number
        assert err == ""
        assert "a run that was under way is back in the sweep" in out
    assert "run #1 preempted" in out
    assert children(service) == []
    assert end(service.script(sweep_id))[0] == 0
    (run,) = service.runs(sweep_id)
    assert (run.state, run.attempt) == (RunState.finished, 2)


@pytest.mark.parametrize("how", [0, 1], ids=["command", "script"])
def test_a_killed_starter_leaves_no_run_behind(service: Service, how: int) -> None:
    sweep_id = service.sweep()
    agent = starters(service)[how](sweep_id)
    service.up(sweep_id)
    assert len(children(service)) == 1
    os.killpg(agent.pid, signal.SIGKILL)
    assert wait_until(lambda: not children(service), DEADLINE_S)
    agent.communicate()
    service.client.control(sweep_id, "cancel")


def test_the_end_of_the_lifeline_is_a_sigterm(service: Service) -> None:
    sweep_id = service.sweep()
    read_end, write_end = os.pipe()
    agent = service.agent(sweep_id, "--function", "train:sleeps", "--lifeline", str(read_end), pass_fds=[read_end])
    os.close(read_end)
    service.up(sweep_id)
    os.close(write_end)
    code, out, _ = end(agent)
    assert code == 0
    assert "this agent ends: told to end by the end of its starter" in out
    assert children(service) == []


def test_workers_share_the_gpus_and_end_with_the_sweep(service: Service) -> None:
    (service.folder / "gpu.py").write_text(
        "import os, sweepyard\nsweepyard.init()\nsweepyard.log({'gpus': os.environ['CUDA_VISIBLE_DEVICES']})\n"
        "while sweepyard.should_stop() is False and not os.path.exists('go'): pass\n"
    )
    sweep_id = service.sweep(program="gpu.py", run_cap=2)
    service.env |= {"CUDA_VISIBLE_DEVICES": "4,5,6,7"}
    try:
        agents = service.agent(sweep_id, "--gpus", "auto", "--gpus-per-run", "2")
    finally:
        del service.env["CUDA_VISIBLE_DEVICES"]
    # Two at a time, or there would never be two masks before one has ended.
    assert wait_until(
        lambda: sorted(str(run.summary.get("gpus")) for run in service.runs(sweep_id)) == ["4,5", "6,7"],
        DEADLINE_S,
    )
    (service.folder / "go").touch()
    code, out, err = end(agents)
    assert (code, err) == (0, "")
    assert service.states(sweep_id) == [RunState.finished] * 2
    assert {line.split()[0] for line in out.splitlines()} == {"[1]", "[2]"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_reaches_all_workers(service: Service, number: signal.Signals) -> None:
    sweep_id = service.sweep()
    agents = service.agent(sweep_id, "--function", "train:sleeps", "--workers", "2")
    service.up(sweep_id, 1)
    service.up(sweep_id, 2)
    agents.send_signal(number)
    code, out, _ = end(agents)
    assert code == 0
    assert out.count("preempted after") == 2
    assert f"its agent was told to end by {number.name}" in service.client.run(sweep_id, 1).attempts[0].reason
    assert children(service) == []
    service.client.control(sweep_id, "cancel")


def test_workers_die_with_their_starter(service: Service) -> None:
    sweep_id = service.sweep()
    agents = service.agent(sweep_id, "--function", "train:sleeps", "--workers", "2")
    service.up(sweep_id, 1)
    service.up(sweep_id, 2)
    agents.kill()
    assert wait_until(lambda: not children(service), DEADLINE_S)
    assert end(agents)[0] == -signal.SIGKILL
    assert all(run.attempt == 2 for run in service.runs(sweep_id)[:2])
    service.client.control(sweep_id, "cancel")


def test_a_forwarded_signal_is_the_runs_own(service: Service) -> None:
    (service.folder / "hears.py").write_text(
        "import signal, sys, time, sweepyard\nsweepyard.init()\n"
        "def hear(number, frame):\n    sweepyard.log({'heard': number}); sweepyard.finish(); sys.exit(0)\n"
        "signal.signal(signal.SIGUSR1, hear)\nsweepyard.log({'up': 1})\nwhile True: time.sleep(0.05)\n"
    )
    sweep_id = service.sweep(program="hears.py", run_cap=1)
    agent = service.agent(sweep_id, "--forward-signals", "--term-timeout", "50")
    service.up(sweep_id)
    agent.send_signal(signal.SIGUSR1)
    code, _, err = end(agent)
    assert (code, err) == (0, "")
    detail = service.client.run(sweep_id, 1)
    assert (detail.attempts[0].outcome, detail.attempts[0].signal) == ("preempted", None)
    rows = service.client.history(sweep_id, 1).rows
    assert {"heard": int(signal.SIGUSR1)} in [row.data for row in rows]
    service.client.control(sweep_id, "cancel")


def test_agents_are_listed_and_drained_by_name(service: Service) -> None:
    sweep_id = service.sweep()
    agent = service.agent(sweep_id, "--function", "train:sleeps")
    service.up(sweep_id)

    def agents(*words: str) -> tuple[int, str, str]:
        return end(service.popen(sys.executable, "-m", "sweepyard", "agents", sweep_id, *words))

    (known,) = service.client.agents(sweep_id)
    assert (known.state, known.runs, known.order) == ("active", [1], None)
    code, out, _ = agents()
    assert code == 0
    assert known.id in out
    assert "active" in out
    assert agents("--quarantine", known.id) == (0, f"Agent {known.id} is quarantined\n", "")
    assert agents("--release", known.id) == (0, f"Agent {known.id} is active\n", "")
    assert agents("--drain", f"{known.host}/{known.pid}") == (0, f"Agent {known.id} is draining\n", "")
    code, out, _ = end(agent)
    assert code == 0
    assert "this agent ends: drained: asked for by the user" in out
    assert "its agent was drained" in service.client.run(sweep_id, 1).attempts[0].reason
    assert wait_until(lambda: service.client.agents(sweep_id)[0].state == "left", DEADLINE_S)
    code, _, err = agents("--stop", known.id)
    assert (code, "has no agent" in err) == (2, True)
    code, _, err = agents("--stop", "nobody")
    assert (code, "There is no agent 'nobody'" in err) == (2, True)
    code, _, err = agents("--stop", known.id, "--drain", known.id)
    assert (code, "One thing at a time" in err) == (2, True)
    service.client.control(sweep_id, "cancel")


def test_a_stolen_offer_starts_a_run_that_is_ended_at_once_and_counts_for_nothing(service: Service) -> None:
    """Signed, of this sweep, of the present controller: and its attempt is over."""
    sweep_id = service.sweep()
    service.client.enqueue(sweep_id, {"lr": 0.5, "bs": 16})
    redis_url = EmbeddedRedis(service.folder / ".sweepyard" / "redis").running_url()
    assert redis_url is not None
    with redis.Redis.from_url(redis_url) as client:

        def waiting() -> list[bytes]:
            return client.keys(f"rq:queue:*-{sweep_id}")

        assert wait_until(lambda: bool(waiting()), DEADLINE_S)
        queue = waiting()[0]
        (job_id,) = client.lrange(queue, 0, -1)
        stolen = client.hgetall(b"rq:job:" + job_id)
        assert end(service.agent(sweep_id, "--function", "train:takes", "--count", "1"))[0] == 0
        (before,) = service.runs(sweep_id)
        client.hset(b"rq:job:" + job_id, mapping=stolen)
        client.rpush(queue, job_id)
    agent = service.agent(sweep_id, "--function", "train:sleeps")
    service.up(sweep_id, 2)
    assert len(children(service)) == 1
    agent.send_signal(signal.SIGTERM)
    code, out, err = end(agent)
    assert (code, err) == (0, "")
    assert out.index("run #1 started") < out.index("run #1 killed") < out.index("run #2 started")
    assert "attempt 1 of run 1 belongs to agent" in out
    after = {run.number: run for run in service.runs(sweep_id)}
    assert after[1] == before
    service.client.control(sweep_id, "cancel")


def test_an_agent_of_another_version_is_refused(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connect.__globals__, "WIRE_VERSION", 2)
    with pytest.raises(UserError, match=r"speaks wire version 1, this agent 2: install the same version"):
        connect(Options(sweep=service.sweep(), url=service.url))
