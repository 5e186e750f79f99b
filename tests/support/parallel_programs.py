"""Every training program for a few steps in several processes; see `together`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from programs import load

from mofa3d.data.corpus.synthetic import SyntheticConfig
from mofa3d.environment.processes import Processes
from mofa3d.fitting.adam import FitConfig

NAMES = ("autoencoder", "conv_decoder", "regressor", "pooled", "mofa")
PROGRAMS = {name: load(f"train_{name}") for name in NAMES}


def train(processes: Processes, folder: Path) -> dict[str, dict]:
    """The logged losses and the files of each program; the folder's parent is the workplace of the tests."""
    workplace = folder.parent
    os.environ["MOFA3D_CACHE"] = str(workplace / "cache")
    found = {}
    for name, program in PROGRAMS.items():
        torch.set_num_threads(1)
        out = folder / f"{processes.count} {name}"
        settings = {"out": out, "iterations": 4, "batch_size": 8, "report_images": 2, "learning_rate": 1e-4}
        if name == "pooled":
            settings |= {"data": workplace / "people", "checkpoint": workplace / "run", "landmark_limit": 40.0}
            settings |= {"fit": FitConfig(steps=5), "log_every": 1}
        else:
            settings |= {"synthetic": SyntheticConfig(count=24), "held_out": 0.25}
            settings |= {"model_path": str(workplace / "tiny.safetensors")}
            network = {"encoder_weights": "none", "input_size": 32}
            settings |= network if name in ("mofa", "regressor") else {"image_size": 16}
            settings |= {"checkpoint_every": 2} if name == "mofa" else {"log_every": 1}
        program.main(program.Config(**settings))
        log = (out / "metrics.jsonl").read_text().splitlines() if processes.leads and name != "mofa" else []
        found[name] = {"losses": [json.loads(line)["loss"] for line in log]}
        found[name]["files"] = sorted(path.name for path in out.iterdir()) if processes.leads else []
    return found
