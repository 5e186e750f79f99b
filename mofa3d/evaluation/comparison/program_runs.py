"""Programs that a comparison runs one after the other: what is done already is not done twice, what fails is noted."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mofa3d.encoders.checkpoint import CHECKPOINT_NAME
from mofa3d.errors import InputError
from mofa3d.evaluation.comparison.networks.tran import TARGETS
from mofa3d.files.whole import write_text
from mofa3d.training.progress import DivergenceError

REPORT = "report.json"  # the last file that every program writes
COMMAND = "command.txt"  # beside a run's folder, with its name before it

RunProgram = Callable[[Sequence[str], Path], None]


@dataclass(frozen=True)
class Program:
    """A program to run.

    Attributes:
        name: of its folder.
        program: file name below ``experiments``.
        arguments: of its command line, without ``--out`` and ``--resume``.
        out: folder for everything it writes.
    """

    name: str
    program: str
    arguments: tuple[str, ...]
    out: Path

    @property
    def command(self) -> list[str]:
        return [self.program, *self.arguments, "--out", str(self.out)]

    @property
    def record(self) -> Path:
        """Where the command is kept with which the folder was filled."""
        return self.out.with_name(f"{self.out.name}.{COMMAND}")


@dataclass(frozen=True)
class Outcome:
    """What became of a step.

    Attributes:
        out: folder, or checkpoint, of the run.
        command: what was run, as one types it; for a run that was there already, where it is.
        reason: why there is no run; empty if there is one.
    """

    out: Path
    command: str
    reason: str = ""


def check_record(step: Program) -> None:
    """Fail where a folder was filled with another command, whose figures would stand under this one's name.

    Raises:
        InputError: the commands differ.
    """
    if step.record.exists() and (before := step.record.read_text(encoding="utf-8").strip()) != _typed(step.command):
        raise InputError(
            f"{step.out} was filled with\n  {before}\nbut now this was asked for:\n  {_typed(step.command)}\nGive the "
            "same options, or another --out"
        )


def carry_out(step: Program, run: RunProgram) -> Outcome:
    """Run a program, go on with it if it was interrupted, or find that it is finished.

    Args:
        step: what to run.
        run: takes the command, beginning with the program's name, and a file for what it prints; it raises InputError,
            OSError or `DivergenceError` if the program fails.

    Raises:
        InputError: see `check_record`.
    """
    check_record(step)
    typed = _typed(step.command)
    if (step.out / REPORT).exists():
        return Outcome(step.out, f"{typed}  # finished before")
    begun = any((step.out / name).exists() for name in (CHECKPOINT_NAME, TARGETS))
    command = [*step.command, "--resume"] if begun else step.command
    step.record.parent.mkdir(parents=True, exist_ok=True)
    write_text(step.record, typed + "\n")
    outcome = Outcome(step.out, _typed(command))
    try:
        run(command, step.out.with_name(f"{step.out.name}.log"))
    except (InputError, OSError, DivergenceError) as error:  # the other systems are still worth comparing
        return replace(outcome, reason=str(error))
    return outcome


def programs_of(folder: Path) -> RunProgram:
    """Runs programs of a folder, each as a process of its own, whose output goes to the file.

    Raises:
        InputError: when called, if the program fails; with what it said last.
    """

    def run(command: Sequence[str], log: Path) -> None:
        program = str(folder / f"{command[0]}.py")
        with open(log, "a", encoding="utf-8") as file:
            begins = file.tell()
            line = [sys.executable, program, *command[1:]]
            status = subprocess.run(line, stdout=file, stderr=subprocess.STDOUT, check=False).returncode
        if status:
            said = log.read_bytes()[begins:].decode(errors="replace")
            lines = [line.strip() for line in said.splitlines() if line.strip()]
            errors = [number for number, line in enumerate(lines) if line.startswith("error: ")]
            reason = " ".join(lines[errors[-1] if errors else -1 :]).removeprefix("error: ")
            raise InputError(f"{command[0]} ended with status {status}: {reason or 'it printed nothing'} (see {log})")

    return run


def _typed(command: Sequence[str]) -> str:
    return shlex.join(["python", f"experiments/{command[0]}.py", *command[1:]])
