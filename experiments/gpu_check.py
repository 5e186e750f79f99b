"""Check everything that needs a GPU in at most ten minutes, and print one JSON; without a GPU, it says that and ends.

    python experiments/gpu_check.py                     # or: make gpu-check
    python experiments/gpu_check.py --only steps nccl

The CUDA tests, nvdiffrast against the CPU's rasterizer, two processes through NCCL, steps per second and memory of
trainings. What cannot be done here is skipped with its reason. The exit status is 1 if anything has failed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the benchmarks are not installed

from mofa3d.cli import program
from mofa3d.environment.machine import commit, machine
from mofa3d.files.whole import without_nan
from mofa3d.numeric_options import check_ranges

ROOT = Path(__file__).resolve().parent.parent
Check = Literal["tests", "nvdiffrast", "nccl", "steps"]
SHARES: dict[Check, float] = {
    "steps": 0.25,
    "nccl": 0.15,
    "nvdiffrast": 0.2,
    "tests": 0.4,
}  # of the time, in this order
TIMED_OUT = 124
SAID = 2000  # characters of a program's output that are kept


@dataclass(frozen=True)
class Config:
    only: tuple[Check, ...] = ()
    """Checks to make; all by default."""
    minutes: float = 10.0
    """End after this time, whatever is left."""
    batch_sizes: tuple[int, ...] = (24, 256)
    """Photographs of the quick preset's steps."""

    def __post_init__(self) -> None:
        check_ranges(self, minutes=(0.1, 600), batch_sizes=(1, 100_000))


def run(command: list[str | Path], seconds: float) -> tuple[int, str]:
    """Exit status and output of a program; `TIMED_OUT` if it had to be ended."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        said, _ = process.communicate(timeout=max(seconds, 1))
    except subprocess.TimeoutExpired:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))  # with what it has started
        process.kill()
        said, _ = process.communicate()
        return TIMED_OUT, said
    return process.returncode, said


def tests(seconds: float, _: Config) -> dict:
    """The tests that are marked cuda."""
    status, said = run(["-m", "pytest", "-q", "-m", "cuda", "-p", "no:cacheprovider", "tests"], seconds)
    counts = {kind: int(count) for count, kind in re.findall(r"(\d+) (passed|failed|skipped|errors?)\b", said)}
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)
    return {
        "ok": status == 0,
        "seconds were over": status == 124,
        **counts,
        "failed tests": failed,
        **_said(status, said),
    }


def nvdiffrast(seconds: float, _: Config) -> dict:
    """Images and gradients against those of the CPU's rasterizer."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "renderers"
        options = [
            "--device",
            "cuda",
            "--reference",
            "cpu",
            "--variants",
            "nvdiffrast",
            "nvdiffrast, hard",
            "--out",
            out,
        ]
        status, said = run([ROOT / "experiments" / "compare_renderers.py", *options], seconds)
        if status:
            return {"ok": False, **_said(status, said)}
        found = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    if not found["figures"]:
        return {"skipped": next(iter(found["not available"].values()), "nothing was compared")}
    return {"ok": True, "against cpu": found["figures"]}


def nccl(seconds: float, _: Config) -> dict:
    """Two processes, on two cards if there are two."""
    options = ["--standalone", "--nproc-per-node=2", ROOT / "benchmarks" / "two_ranks.py"]
    status, said = run(["-m", "torch.distributed.run", *options], seconds)
    cards = torch.cuda.device_count()
    if status == 0:
        found = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
        return {"ok": found["right"], "cards": cards, **found}
    if "Duplicate GPU detected" in said:
        return {"skipped": "NCCL gives two processes no card that they share, and there is one", "cards": cards}
    return {"ok": False, "cards": cards, **_said(status, said)}


def steps(_: float, config: Config) -> dict:
    """Steps per second and memory of the presets."""
    from benchmarks.real_step import time_steps
    from benchmarks.training_step import PAPER, QUICK

    settings = [PAPER, *(replace(QUICK, batch_size=size) for size in config.batch_sizes)]
    found = {}
    for setting in settings:
        taken = time_steps(setting, "cuda")
        per_second = {"steps per second": taken.per_second, "photographs per second": taken.batch * taken.per_second}
        found[str(setting)] = {**per_second, "memory": taken.memory, "parameters": taken.parameters}
    free, total = torch.cuda.mem_get_info()
    return {"ok": True, **found, "free memory": free, "all memory": total}


CHECKS: dict[Check, Callable[[float, Config], dict]] = {
    "tests": tests, "nvdiffrast": nvdiffrast, "nccl": nccl, "steps": steps,
}  # fmt: skip


def _said(status: int, said: str) -> dict:
    return {"timed out": status == TIMED_OUT, "exit status": status, "output": said[-SAID:]} if status else {}


def check(config: Config) -> dict:
    """All that was found."""
    about = {"machine": machine(), "commit": commit(), "options": asdict(config)}
    if not torch.cuda.is_available():
        return {**about, "gpu": None, "skipped": "PyTorch finds no CUDA GPU"}
    begun = time.monotonic()
    found: dict = {**about, "gpu": torch.cuda.get_device_name(), "checks": {}}
    left = {name: share for name, share in SHARES.items() if name in (config.only or SHARES)}
    while left:
        name = next(iter(left))
        remaining = 60 * config.minutes - (time.monotonic() - begun)
        seconds = remaining * left[name] / sum(left.values())  # what the ones before have not used, too
        del left[name]
        started = time.monotonic()
        try:
            result = CHECKS[name](seconds, config) if remaining > 0 else {"skipped": "the time was over"}
        except Exception as error:  # the other checks still say something
            result = {"ok": False, "error": repr(error)}
        found["checks"][name] = {**result, "seconds": round(time.monotonic() - started, 1)}
        print(f"{name}: {found['checks'][name]['seconds']} s", file=sys.stderr, flush=True)
    return found


def main(config: Config) -> int:
    found = check(config)
    print(json.dumps(without_nan(found), indent=1))
    return int(any(not result.get("ok", True) for result in found.get("checks", {}).values()))


if __name__ == "__main__":
    program.run(main, Config, __doc__)
