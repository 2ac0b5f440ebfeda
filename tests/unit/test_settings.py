"""Settings: where values come from, and what a bad one says."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweepyard.errors import UserError
from sweepyard.settings import Settings, load_settings, settings_table


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SWEEPYARD_{name.upper()}", raising=False)


def test_defaults() -> None:
    settings = load_settings()
    assert (settings.host, settings.port, settings.dir) == ("127.0.0.1", 7077, Path(".sweepyard"))
    assert (
        settings.redis_url
        is settings.store_url
        is settings.api_key
        is settings.url
        is settings.idle_exit_s
        is None
    )


def test_argument_wins_over_environment_wins_over_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEPYARD_PORT", "1234")
    monkeypatch.setenv("SWEEPYARD_HEARTBEAT_S", "0.5")
    settings = load_settings(port=99, host=None)
    assert (settings.port, settings.heartbeat_s, settings.host) == (99, 0.5, "127.0.0.1")


def test_an_empty_variable_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEPYARD_API_KEY", "")
    monkeypatch.setenv("SWEEPYARD_IDLE_EXIT_S", "")
    assert load_settings().api_key is None


def test_the_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEPYARD_API_KEY", "open-sesame")
    settings = load_settings()
    assert "open-sesame" not in repr(settings)
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "open-sesame"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "abc", "SWEEPYARD_PORT=abc: input should be a valid integer"),
        ("PORT", "70000", "SWEEPYARD_PORT=70000: input should be less than or equal to 65535"),
        ("LOST_AFTER_S", "0", "SWEEPYARD_LOST_AFTER_S=0: input should be greater than 0"),
        ("LOG_LEVEL", "loud", "SWEEPYARD_LOG_LEVEL=loud: input should be 'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str) -> None:
    monkeypatch.setenv(f"SWEEPYARD_{name}", value)
    with pytest.raises(UserError) as caught:
        load_settings()
    assert str(caught.value).startswith(said)


def test_a_bad_argument_is_named() -> None:
    with pytest.raises(UserError, match=r"^port=-1: "):
        load_settings(port=-1)


def test_the_table_has_every_setting_and_a_sentence() -> None:
    rows = settings_table().splitlines()[2:]
    assert len(rows) == len(Settings.model_fields)
    assert rows[0] == (
        "| `SWEEPYARD_HOST` | `127.0.0.1` | Where the service listens. Beyond loopback it needs an API key. |"
    )
    assert all(row.endswith(". |") for row in rows)
