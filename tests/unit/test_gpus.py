"""GPUs are shared out through the mask that is there, or through what the driver lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweepyard.agent.gpus import listed, shares
from sweepyard.errors import UserError

FOUR = "GPU 0: NVIDIA H100 (UUID: GPU-00)\nGPU 1: NVIDIA H100 (UUID: GPU-11)\nGPU 2: A (UUID: GPU-22)\nGPU 3: A\n"
DIVIDED = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-00)
  MIG 1g.10gb     Device  0: (UUID: MIG-aa)
  MIG 2g.20gb     Device  1: (UUID: MIG-bb)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-11)
"""


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PATH where a test may put an `nvidia-smi`."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "nvidia-smi"


def install(driver: Path, output: str, code: int = 0) -> None:
    driver.write_text(f"#!/bin/sh\n[ \"$1\" = -L ] || exit 9\nprintf '%s' '{output}'\nexit {code}\n")
    driver.chmod(0o700)


def cuda(*masks: str) -> list[dict[str, str]]:
    return [{"CUDA_VISIBLE_DEVICES": mask} for mask in masks]


@pytest.mark.parametrize(
    ("wish", "mask", "per_run", "workers", "expected"),
    [
        ("auto", "0,1,2", 1, None, ["0", "1", "2"]),
        ("auto", "3,1", 1, None, ["3", "1"]),
        ("auto", "GPU-8f6d2a,GPU-01, MIG-77", 1, None, ["GPU-8f6d2a", "GPU-01", "MIG-77"]),
        ("auto", "0,1,2,3,4", 2, None, ["0,1", "2,3"]),
        ("auto", "4,5,6,7", 2, 1, ["4,5"]),
        ("auto", "0,1,-1,2", 1, None, ["0", "1"]),
        ("5,4", "4,5,6", 1, None, ["5", "4"]),
        ("0,1", None, 1, None, ["0", "1"]),
        ("0,1,2,3", None, 4, 1, ["0,1,2,3"]),
        ("none", "0,1", 1, 2, ["", ""]),
        ("none", None, 1, None, [""]),
    ],
)
def test_each_worker_gets_its_own(
    wish: str, mask: str | None, per_run: int, workers: int | None, expected: list[str]
) -> None:
    environ = {} if mask is None else {"CUDA_VISIBLE_DEVICES": mask}
    assert shares(wish, environ, per_run=per_run, workers=workers) == cuda(*expected)


def test_the_variables_of_other_makers() -> None:
    assert shares("auto", {"HIP_VISIBLE_DEVICES": "2,3"}, per_run=2, workers=None) == [
        {"HIP_VISIBLE_DEVICES": "2,3"}
    ]
    both = {"CUDA_VISIBLE_DEVICES": "0,1", "HIP_VISIBLE_DEVICES": "0,1"}
    assert shares("auto", both, per_run=1, workers=None)[1] == dict.fromkeys(both, "1")
    assert shares("1", {"ROCR_VISIBLE_DEVICES": "0,1"}, per_run=1, workers=None) == [{"ROCR_VISIBLE_DEVICES": "1"}]
    # HIP counts what ROCR leaves.
    nested = {"ROCR_VISIBLE_DEVICES": "4,5", "HIP_VISIBLE_DEVICES": "0,1"}
    assert shares("auto", nested, per_run=1, workers=None)[1] == {"HIP_VISIBLE_DEVICES": "1"}


def test_without_a_mask_the_driver_is_asked(driver: Path) -> None:
    install(driver, FOUR)
    assert shares("auto", {}, per_run=2, workers=None) == cuda("0,1", "2,3")
    install(driver, DIVIDED)
    assert shares("auto", {}, per_run=1, workers=None) == cuda("MIG-aa", "MIG-bb", "1")
    # What the mask names is not asked again.
    install(driver, "", code=1)
    assert shares("auto", {"CUDA_VISIBLE_DEVICES": "7"}, per_run=1, workers=None) == cuda("7")


def test_what_a_driver_lists() -> None:
    assert listed(FOUR) == ["0", "1", "2", "3"]
    assert listed("No devices found.\n") == []


@pytest.mark.parametrize(
    ("wish", "mask", "per_run", "workers", "sentence"),
    [
        ("auto", "0,1", 1, 3, "--workers 3 with --gpus-per-run 1 would need 3 of the GPUs; there are 2: 0, 1."),
        ("auto", "0,1", 4, None, "--workers 1 with --gpus-per-run 4 would need 4 of the GPUs; there are 2"),
        ("auto", "", 1, None, "would need 1 of the GPUs; there are none."),
        ("0,2", "0,1", 1, None, "this process may not use 2; it may use those of CUDA_VISIBLE_DEVICES=0,1"),
        ("0", "", 1, None, "it may use none, as CUDA_VISIBLE_DEVICES is empty"),
        ("0,0", None, 1, None, "--gpus 0,0: give auto, none, or different GPUs"),
        ("0,,1", None, 1, None, "give auto, none, or different GPUs"),
    ],
)
def test_what_is_not_there_cannot_be_had(
    wish: str, mask: str | None, per_run: int, workers: int | None, sentence: str
) -> None:
    environ = {} if mask is None else {"CUDA_VISIBLE_DEVICES": mask}
    with pytest.raises(UserError, match=r"GPU|gpus") as caught:
        shares(wish, environ, per_run=per_run, workers=workers)
    assert sentence in str(caught.value)


def test_masks_that_contradict_each_other() -> None:
    with pytest.raises(UserError, match="name different GPUs"):
        shares("auto", {"CUDA_VISIBLE_DEVICES": "0", "HIP_VISIBLE_DEVICES": "1"}, per_run=1, workers=None)


def test_a_driver_that_cannot_tell(driver: Path) -> None:
    with pytest.raises(UserError, match="nvidia-smi is not installed here, and no CUDA_VISIBLE_DEVICES is set"):
        shares("auto", {}, per_run=1, workers=None)
    install(driver, "Failed to initialize NVML", code=9)
    with pytest.raises(UserError, match="ended with code 9: Failed to initialize NVML"):
        shares("auto", {}, per_run=1, workers=None)
