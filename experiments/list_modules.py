"""Print the modules of mofa3d that are loaded from a photograph to face.glb, and by a training up to its last step.

python experiments/list_modules.py portrait.jpg
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from mofa3d.cli import program

LIST = 'print("\\n".join(sorted(name for name in sys.modules if name.partition(".")[0] == "mofa3d")))'
FACE = f"""
import sys, mofa3d
face = mofa3d.reconstruct(sys.argv[1])
face.save(sys.argv[2] + "/face.glb")
{LIST}

# What a training needs is made in the same process, because the face model is loaded here.
from pathlib import Path
from mofa3d.data.corpus.synthetic import SyntheticConfig, synthesize
from mofa3d.renderers import make_renderer
decode = mofa3d.Decoder(face.writer.model, mofa3d.Camera())
synthesize(SyntheticConfig(4), decode, make_renderer("cpu", antialias=False), Path(sys.argv[2], "corpus"))
"""
TRAINING = f"""
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
import train_mofa
def report(*results):
    {LIST}
train_mofa.report = report
folder = Path(sys.argv[1])
config = {{"data": str(folder / "corpus"), "out": folder / "run", "iterations": 2, "batch_size": 2, "held_out": 0.5}}
train_mofa.main(train_mofa.Config(**config))
"""


@dataclass(frozen=True)
class Config:
    photo: Positional[Path]
    """A photograph with a face."""


def modules(flow: str, *arguments: str) -> str:
    """What a flow prints, in a process of its own: this one has loaded `mofa3d.cli`."""
    command = [sys.executable, "-c", flow, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main(config: Config) -> None:
    with tempfile.TemporaryDirectory() as folder:
        print("From a photograph to face.glb:\n")
        print(modules(FACE, str(config.photo), folder))
        print("A training with the vertex renderer, on a prepared corpus:\n")
        print(modules(TRAINING, folder, str(Path(__file__).parent)), end="")


if __name__ == "__main__":
    program.run(main, Config, __doc__)
