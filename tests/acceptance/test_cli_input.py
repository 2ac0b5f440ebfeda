"""What a tired person gets wrong: one clear message, the right exit code, and never a traceback."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from acceptance.commands import Place, created

GOOD = "method: random\nprogram: train.py\nparameters:\n  x: {min: 0.0, max: 1.0}\n"


def refused(place: Place, *words: object, code: int = 2, **environment: str) -> str:
    """The message of a command that ends with `code`."""
    done = place.run(*words, **environment)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.endswith("\n")
    return done.stderr


def test_a_missing_file(place: Place) -> None:
    assert refused(place, "run", "nosuch.yaml") == (
        "sweepyard: There is no file nosuch.yaml. Give the path of a sweep file, such as sweep.yaml.\n"
    )


def test_a_folder(place: Place) -> None:
    (place.path / "sweeps").mkdir()
    assert "sweeps is a folder" in refused(place, "sweep", "sweeps")


def test_bytes(place: Place) -> None:
    (place.path / "model.bin").write_bytes(b"\xff\xfe\x00\x01")
    assert "model.bin: byte 1 is not UTF-8" in refused(place, "run", "model.bin")


FILES = {
    "empty": ("", "empty"),
    "no YAML": ("method: [random\n", "line 1, column 9: not YAML"),
    "unknown method": (GOOD.replace("random", "bayesian"), "bayesian"),
    "a goal with another name": (GOOD + "metric: {name: loss, goal: max}\n", "maximize"),
    "a grid over a range": (GOOD.replace("random", "grid"), "grid"),
    "bayes without a metric": (GOOD.replace("random", "bayes"), "metric"),
    "min above max": (GOOD.replace("min: 0.0", "min: 2.0"), "max"),
}


@pytest.mark.parametrize(("text", "words"), FILES.values(), ids=FILES)
def test_a_file_that_is_no_sweep(place: Place, text: str, words: str) -> None:
    (place.path / "train.py").touch()
    (place.path / "sweep.yaml").write_text(text)
    message = refused(place, "run", "sweep.yaml")
    assert message.startswith("sweep.yaml: ")
    assert words in message
    assert place.living() == []  # nothing was started for it


def test_every_command_refuses_it_alike(place: Place) -> None:
    (place.path / "sweep.yaml").write_text(GOOD.replace("random", "bayesian"))
    assert refused(place, "sweep", "sweep.yaml") == refused(place, "run", "sweep.yaml")


def test_the_place_in_the_file_is_shown(place: Place) -> None:
    (place.path / "sweep.yaml").write_text(GOOD.replace("random", "bayesian"))
    message = refused(place, "run", "sweep.yaml")
    assert "sweep.yaml: line 1, column 9: method" in message
    assert message.splitlines()[1:] == ["     1 | method: bayesian", "       |         ^"]


def test_a_program_that_is_not_there(place: Place) -> None:
    (place.path / "sweep.yaml").write_text(GOOD)
    message = refused(place, "run", "sweep.yaml")
    assert f"sweep.yaml: The program 'train.py' does not exist in {place.path}" in message


def test_an_unknown_sweep(served: tuple[Place, str]) -> None:
    place, _ = served
    for words in (
        ["status"],
        ["runs"],
        ["best"],
        ["importance"],
        ["agent"],
        ["run", "--resume"],
        ["sweep", "--pause"],
    ):
        assert "There is no sweep 'nosuch00' here" in refused(place, *words, "nosuch00"), words


def test_a_sweep_of_another_project(served: tuple[Place, str]) -> None:
    place, known = served
    for ref in (known, f"tests/{known}", f"local/tests/{known}"):
        assert place.json("status", ref)["id"] == known
    assert "belongs to local/tests, not to other" in refused(place, "status", f"other/{known}")


def test_a_verb_that_the_state_does_not_allow(served: tuple[Place, str]) -> None:
    place, _ = served
    doomed = created(place)
    assert place.run("sweep", "--cancel", doomed).stdout.startswith(f"Sweep {doomed} is cancelled")
    assert "pause is not possible" in refused(place, "sweep", "--pause", doomed)


def test_no_service_here(place: Place) -> None:
    for words in (["status"], ["runs", "nosuch00"], ["best", "nosuch00"], ["importance", "nosuch00"]):
        assert "Start one with: sweepyard serve" in refused(place, *words, code=1)
    assert place.living() == []


def test_no_service_at_the_configured_address(place: Place) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        message = refused(place, "status", code=1, SWEEPYARD_URL=url)
    assert f"No sweepyard service answers at {url}" in message
    assert "sweepyard serve" in message


def test_a_port_that_is_taken(place: Place) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        message = refused(place, "serve", "--port", port)
    assert f"Cannot listen on 127.0.0.1:{port}" in message
    assert "--port" in message


def test_a_folder_that_is_served_already(served: tuple[Place, str]) -> None:
    place, _ = served
    assert "is already served, at http://127.0.0.1:" in refused(place, "serve", "--port", 0)


def test_a_service_for_everyone_without_a_key(place: Place) -> None:
    assert "without an API key" in refused(place, "serve", "--host", "0.0.0.0", "--port", 0)


def test_a_redis_that_is_not_there(place: Place) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{unused.getsockname()[1]}"
        message = refused(place, "serve", "--port", 0, "--redis-url", url, code=1)
        assert "does not answer" in message
        assert "Without --redis-url" in message
        # A command that starts the service shows why that could not start.
        message = refused(place, "run", place.write_sweep(), code=1, SWEEPYARD_REDIS_URL=url)
    assert "The local service could not start" in message
    assert "does not answer" in message


def test_a_setting_that_makes_no_sense(place: Place) -> None:
    assert "SWEEPYARD_PORT" in refused(place, "serve", SWEEPYARD_PORT="http")


def test_neither_a_file_nor_a_verb(place: Place) -> None:
    assert "Give either a sweep file, or one of" in refused(place, "sweep")
    assert "Which sweep?" in refused(place, "run")
    assert "Which sweep?" in refused(place, "status", "--watch", SWEEPYARD_URL="http://127.0.0.1:9")


def test_a_function_that_an_agent_cannot_call(served: tuple[Place, str]) -> None:
    place, known = served
    (place.path / "mine.py").write_text("def train(config, data): ...\n")
    message = refused(place, "agent", known, "--function", "mine:train")
    assert "An agent cannot call train, which needs (config, data)" in message
    assert "'mine' has no 'nosuch'" in refused(place, "agent", known, "--function", "mine:nosuch")


def test_help_loads_little_and_names_every_command(place: Place) -> None:
    text = place.run("--help").stdout
    for command in ("run", "serve", "sweep", "status", "runs", "best", "importance", "agent"):
        assert f"\n  {command} " in text
    heavy = ["fastapi", "sqlalchemy", "scipy", "numpy", "uvicorn", "httpx", "redis", "rq"]
    code = f"import sys, sweepyard.cli; print(set({heavy}) & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
