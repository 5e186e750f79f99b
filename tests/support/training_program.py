"""train_mofa.py with options for a few steps of a small training."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from programs import load

from mofa3d.data.corpus.synthetic import SyntheticConfig

train_mofa = load("train_mofa")


def config(workplace: Path, **changes):
    """A few steps of a small training on two dozen synthetic faces."""
    options = {
        "synthetic": SyntheticConfig(count=24),
        "held_out": 0.25,
        "model_path": str(workplace / "tiny.safetensors"),
        "encoder": "mobilenet_v2",
        "encoder_weights": "none",
        "input_size": 32,
        "iterations": 20,
        "batch_size": 4,
        "out": workplace / "run",
    }
    return train_mofa.Config(**{**options, **changes})


def run(*arguments: str | Path) -> tuple[int, list[str], str]:
    """Exit code, the lines of standard error that report errors, and all of standard error, of a fresh process."""
    command = [sys.executable, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return result.returncode, [s for s in result.stderr.splitlines() if s.startswith("error:")], result.stderr
