"""Verification of people with the codes of each system of a comparison."""

from __future__ import annotations

import json
from pathlib import Path

from mofa3d.evaluation.comparison.plan import MOFA, SURROGATE, TRAN, TrainingsConfig
from mofa3d.evaluation.comparison.program_runs import REPORT, Outcome, Program, RunProgram, carry_out
from mofa3d.evaluation.comparison.tables import SystemMeans

FIT = "fit (Romdhani and Vetter)"
VERIFIED = {MOFA: "mofa", SURROGATE: "mofa_surrogate", TRAN: "tran", FIT: "fit"}


def verify_all(
    config: TrainingsConfig, photographs: tuple[str, ...], outcomes: dict[str, Outcome], run: RunProgram
) -> tuple[list[SystemMeans], dict[str, str]]:
    """Verify people with each system.

    Args:
        config: where to write, and the face model of fits.
        photographs: options of `experiments/verify_lfw.py` that say which.
        outcomes: of the trainings.
        run: see `mofa3d.evaluation.comparison.program_runs.carry_out`.

    Returns:
        A row for each system, and the commands.
    """
    rows, commands = [], {}
    for system, name in VERIFIED.items():
        if system == FIT:
            source = ("--method", "fit", *config.model_options)
        elif outcomes[system].reason:
            rows.append(SystemMeans(system, reason=outcomes[system].reason))
            continue
        else:
            source = ("--checkpoint", str(outcomes[system].out))
        out = config.out / "runs" / f"verification_{name}"
        step = Program(out.name, "verify_lfw", (*photographs, *source), out)
        outcome = carry_out(step, run)
        commands[f"{system}, verification"] = outcome.command
        rows.append(SystemMeans(system, reason=outcome.reason) if outcome.reason else _row(system, out))
    return rows, commands


def _row(system: str, out: Path) -> SystemMeans:
    content = json.loads((out / REPORT).read_text(encoding="utf-8"))
    found = content["results"]["shape and reflectance"]
    percent = {name: 100 * found[name] for name in ("accuracy", "standard error")}
    return SystemMeans(system, {**percent, "area": found["area"]}, content["photographs"])
