"""Which GPUs this process may use, and how they are shared out: through the variables that CUDA and HIP obey."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping

from sweepyard.errors import UserError

CUDA, HIP, ROCR = "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"
LIST_TIMEOUT_S = 30.0


def shares(wish: str, environ: Mapping[str, str], *, per_run: int, workers: int | None) -> list[dict[str, str]]:
    """What to add to the environment of each worker, for devices of its own.

    `wish`: `auto`, all that there are; `none`; or names as the mask has them, separated by commas. Indices and
    UUIDs are passed on as they are. `workers` None: as many as the devices are enough for.

    Raises:
        UserError: not enough devices, one that is not there, or no way to learn which there are.
    """
    if wish == "none":
        return [dict.fromkeys(_variables(environ), "")] * (workers or 1)
    devices = _chosen(wish, environ)
    count = len(devices) // per_run if workers is None else workers
    if count < 1 or count * per_run > len(devices):
        count = max(count, 1)
        there = f"{len(devices)}: {', '.join(devices)}" if devices else "none"
        raise UserError(
            f"--workers {count} with --gpus-per-run {per_run} would need {count * per_run} of the GPUs; there are "
            f"{there}. Ask for fewer."
        )
    own = [",".join(devices[n * per_run : (n + 1) * per_run]) for n in range(count)]
    return [dict.fromkeys(_variables(environ), mask) for mask in own]


def listed(text: str) -> list[str]:
    """The devices in what `nvidia-smi -L` prints: indices of GPUs, UUIDs of the parts of a divided one."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if gpu := re.match(r"GPU (\d+):", line):
            found.append([gpu[1]])
        elif (part := re.match(r"\s+MIG .*\(UUID: (MIG-[^)]+)\)", line)) and found:
            found[-1] = [name for name in found[-1] if not name.isdecimal()] + [part[1]]
    return [name for names in found for name in names]


def _variables(environ: Mapping[str, str]) -> list[str]:
    """Those that hold the mask. ROCR's counts all devices, the others count what it leaves: one of both is set."""
    inner = [name for name in (CUDA, HIP) if name in environ]
    return inner or ([ROCR] if ROCR in environ else [CUDA])


def _chosen(wish: str, environ: Mapping[str, str]) -> list[str]:
    masks = {name: _names(environ[name]) for name in _variables(environ) if name in environ}
    if len({tuple(mask) for mask in masks.values()}) > 1:
        raise UserError(f"{CUDA} and {HIP} name different GPUs. Unset one of them.")
    if wish == "auto":
        return next(iter(masks.values())) if masks else _ask_driver()
    names = [name.strip() for name in wish.split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise UserError(f"--gpus {wish}: give auto, none, or different GPUs separated by commas, such as 0,1.")
    for variable, mask in masks.items():
        if missing := [name for name in names if name not in mask]:
            allowed = f"those of {variable}={environ[variable]}" if mask else f"none, as {variable} is empty"
            raise UserError(f"--gpus {wish}: this process may not use {', '.join(missing)}; it may use {allowed}.")
    return names


def _names(mask: str) -> list[str]:
    """The devices of a mask. As the driver does: whatever is behind an impossible one does not count."""
    names: list[str] = []
    for name in (name.strip() for name in mask.split(",")):
        if not name or name.startswith("-") or name == "NoDevFiles":
            break
        names.append(name)
    return names


def _ask_driver() -> list[str]:
    remedy = f"Name the GPUs, as in --gpus 0,1, or set {CUDA}."
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=LIST_TIMEOUT_S)
    except FileNotFoundError:
        raise UserError(f"--gpus auto: nvidia-smi is not installed here, and no {CUDA} is set. {remedy}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"--gpus auto: nvidia-smi -L does not work: {error}. {remedy}") from None
    if done.returncode:
        words = (done.stderr or done.stdout).strip()
        raise UserError(f"--gpus auto: nvidia-smi -L ended with code {done.returncode}: {words}. {remedy}")
    return listed(done.stdout)
