"""Config values that stand in YAML files: `config-defaults.yaml`, and the file that `init(config=...)` names.

The values lie below the sweep's. As in W&B, a value may be wrapped: `lr: {value: 0.1, desc: initial rate}`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sweepyard.errors import UserError

DEFAULTS = "config-defaults.yaml"
"""Read from the current folder, if it is there."""


def read_defaults() -> dict[str, Any]:
    """The values of `config-defaults.yaml`; nothing if there is no such file."""
    return read(DEFAULTS) if Path(DEFAULTS).is_file() else {}


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The values of a file.

    Raises:
        UserError: it cannot be read, is no YAML, or holds no map.
    """
    import re

    import yaml  # only for who has such a file

    class Loader(yaml.SafeLoader):
        """With the floats of YAML 1.2: 1e-5 is a number."""

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
    )
    try:
        values = yaml.load(Path(path).read_text("utf-8"), Loader)  # noqa: S506, TID251 (a SafeLoader; no sweep file)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"config file {os.fspath(path)}: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise UserError(f"config file {os.fspath(path)} must hold names and values, such as `lr: 0.1`.")
    return {key: _unwrapped(value) for key, value in values.items() if key != "wandb_version"}


def _unwrapped(value: Any) -> Any:
    return value["value"] if isinstance(value, dict) and value.keys() - {"desc"} == {"value"} else value
