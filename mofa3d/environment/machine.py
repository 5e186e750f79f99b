"""What a measurement was made with: machine and version, for the record beside every figure."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import torch

from mofa3d.errors import InputError


def machine() -> str:
    """Processor and instruction sets, cores, threads that PyTorch uses, its version, and the GPU if there is one."""
    from mofa3d.environment import instruction_sets

    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return (
        f"{platform.processor() or platform.machine()}, {instruction_sets.describe()}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} threads"
        f"{gpu}, torch {torch.__version__}"
    )


def commit() -> str:
    """The version of this repository; "unknown" outside one."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent, check=False)
    except FileNotFoundError:  # git itself is missing
        return "unknown"
    return answer.stdout.strip() or "unknown"


def check_device(name: str) -> None:
    """Fail with one line when a program's ``--device`` cannot be used.

    Raises:
        InputError: there is no such device.
    """
    try:
        torch.zeros(1, device=name, dtype=torch.float32)
    except (RuntimeError, AssertionError) as error:  # PyTorch without CUDA asserts
        reason = str(error).splitlines()[0]
        raise InputError(f"--device {name} cannot be used ({reason}); leave it out to use the CPU") from None
