"""All settings: fields of `Settings`, each also an environment variable `SWEEPYARD_<NAME>`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from sweepyard.errors import UserError
from sweepyard.redaction import passwords_of

PREFIX = "SWEEPYARD_"

LogLevel = Literal["debug", "info", "warning", "error"]


class Settings(BaseModel):
    """What the commands and the SDK can be told. Durations are seconds.

    Read them with `load_settings`, which looks into the environment and explains a bad value.
    """

    model_config = ConfigDict(frozen=True)

    host: str = Field("127.0.0.1", description="Where the service listens. Beyond loopback it needs an API key.")
    port: int = Field(7077, ge=0, le=65535, description="Port of the service; 0: any free one.")
    redis_url: str | None = Field(
        None,
        repr=False,
        description="Redis or Valkey to use; unset: the service starts an embedded Valkey of its own, and agents "
        "ask the service.",
    )
    agent_redis_url: str | None = Field(
        None,
        repr=False,
        description="Redis as agents are told to reach it, with a user of their own; unset: as the service does.",
    )
    store_url: str | None = Field(
        None,
        repr=False,
        description="Database of the tracking store, SQLite or PostgreSQL; unset: SQLite in the directory.",
    )
    dir: Path = Field(Path(".sweepyard"), description="Directory for all that the service and the SDK keep.")
    url: str | None = Field(
        None, description="Address of the service to talk to; unset: the one that serves the directory."
    )
    api_key: SecretStr | None = Field(None, description="What clients must show the service, and do show it.")
    requests_per_s: float = Field(
        200.0,
        gt=0,
        description="How many requests the service takes a second from one address, and ten times that at once; "
        "who asks more often is told to wait (429).",
    )
    wrong_keys: int = Field(
        10, ge=1, description="After so many wrong API keys an address may show one more each 30 s."
    )
    body_kib: int = Field(1024, ge=1, description="The most that a request may bring, in KiB.")
    sweeps_per_key: int = Field(
        1000, ge=1, description="The most sweeps that an editor's key may have which are not over."
    )
    heartbeat_s: float = Field(5.0, gt=0, description="How often an agent says that it lives.")
    lost_after_s: float = Field(15.0, gt=0, description="Silence after which an agent is given up as lost.")
    stop_after_s: float = Field(
        900.0, gt=0, description="How long a run goes on without contact to the service before it is handed back."
    )
    term_grace_s: float = Field(10.0, ge=0, description="Time between SIGTERM and SIGKILL for a run to end.")
    checkpoint_root: Path | None = Field(
        None,
        description="Where runs keep their checkpoints. A directory that all agents see lets any of them go on "
        "with a run; unset: `checkpoints` in the directory.",
    )
    checkpoint_keep_days: float = Field(
        7.0, ge=0, description="How long the checkpoint of a run stays when the run has ended; 0: not at all."
    )
    proposal_deadline_s: float = Field(
        30.0, gt=0, description="How long a search method may think before a random point takes its place."
    )
    idle_exit_s: float | None = Field(
        None, gt=0, description="The service leaves after this long without agents and requests; unset: never."
    )
    despite_findings: bool = Field(
        False, description="Serve although `sweepyard doctor` finds that results would be lost."
    )
    log_level: LogLevel = Field("info", description="How much is logged: debug, info, warning or error.")


def known_secrets(settings: Settings) -> frozenset[str]:
    """What of the settings must not be seen: the key, and the passwords in URLs."""
    urls = (settings.redis_url, settings.agent_redis_url, settings.store_url, settings.url)
    keys = {settings.api_key.get_secret_value()} if settings.api_key else set()
    return frozenset(keys | {password for url in urls if url for password in passwords_of(url)})


def load_settings(**given: Any) -> Settings:
    """Settings from `given` (None: not given), else the environment (empty: not set), else the defaults.

    Raises:
        UserError: a value makes no sense; the message names the variable or argument.
    """
    wishes = {name: value for name, value in given.items() if value is not None}
    names = Settings.model_fields.keys() - wishes.keys()
    found = {name: text for name in names if (text := os.environ.get(f"{PREFIX}{name.upper()}"))}
    try:
        return Settings(**wishes, **found)
    except ValidationError as error:
        raise UserError("\n".join(_sentence(detail, wishes) for detail in error.errors())) from None


def settings_table() -> str:
    """The reference table of all settings, in Markdown."""
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = "unset" if field.default is None else f"`{field.default}`"
        rows.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows) + "\n"


def _sentence(detail: Any, wishes: dict[str, Any]) -> str:
    name = str(detail["loc"][0])
    where = name if name in wishes else f"{PREFIX}{name.upper()}"
    return f"{where}={detail['input']}: {detail['msg'][0].lower()}{detail['msg'][1:]}"
