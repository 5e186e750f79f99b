"""Where encoders' weights are: of the one that comes with the package, and of training runs; nothing is read here.

MODEL_CARD.md, beside this file, says what the encoder of the package was trained on and how well it does.
"""

import hashlib
from pathlib import Path

from mofa3d.encoders import CHECKPOINT_NAME
from mofa3d.errors import InputError

SHIPPED = Path(__file__).with_name("makehuman_mobilenet_v2.safetensors")
INSTEAD = "give the folder of a training run, its checkpoint.pt, or an encoder's .safetensors file"


def checkpoint_file(run: Path) -> Path:
    """The file of a training run that is given by its folder or its file."""
    return run / CHECKPOINT_NAME if run.is_dir() else run


def check_present(path: Path) -> None:
    """Refuse a checkpoint that is not there.

    Raises:
        InputError: what to give instead.
    """
    if not path.is_file():
        raise InputError(f"there is no checkpoint at {path}; {INSTEAD}")


def digest_of(path: Path) -> str:
    """What tells encoders apart: SHA-256 of the file.

    Raises:
        InputError: there is none.
    """
    check_present(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()
