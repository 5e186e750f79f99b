"""Runs work in several processes that train together, as torchrun would start them, but forked: imports count once.

    python tests/support/together.py MODULE FUNCTION FOLDER COUNT...

calls MODULE.FUNCTION(processes, folder) for each COUNT, in so many processes; what the first one returns is saved as
FOLDER/COUNT.pt.
"""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
import traceback
from pathlib import Path

import torch

from mofa3d.environment.processes import join


def run(function: str, folder: Path, *counts: int, timeout: int = 900) -> dict[int, dict]:
    """What a function, MODULE.NAME of this folder, returns in so many processes, by their number."""
    module, name = function.split(".")
    folder.mkdir(exist_ok=True)
    command = [sys.executable, __file__, module, name, str(folder), *map(str, counts)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return {count: torch.load(folder / f"{count}.pt") for count in counts}


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


def _fork(module: str, name: str, folder: Path, count: int) -> list[int]:
    port, children = free_port(), []
    for rank in range(count):
        child = os.fork()
        if child:
            children.append(child)
            continue
        status = 1
        try:
            about = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_PORT": port}
            os.environ.update({key: str(value) for key, value in about.items()}, MASTER_ADDR="127.0.0.1")
            torch.set_num_threads(1)
            processes = join("cpu", count)
            found = getattr(importlib.import_module(module), name)(processes, folder)
            if processes.leads:
                torch.save(found, folder / f"{count}.pt")
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    return children


def main() -> None:
    module, name, folder, *counts = sys.argv[1:]
    importlib.import_module(module)
    for count in map(int, counts):
        for child in _fork(module, name, Path(folder), count):
            _, status = os.waitpid(child, 0)
            if status:
                sys.exit(f"a process of {count} ended with {status}")


if __name__ == "__main__":
    main()
