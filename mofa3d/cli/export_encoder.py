"""``mofa3d export-encoder``: pass a trained encoder on; imports what it needs when it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from mofa3d.cli.program import Flag
from mofa3d.encoders.weights import SHIPPED, checkpoint_file
from mofa3d.errors import InputError

KINDS = (".onnx", ".safetensors")


@dataclass(frozen=True)
class ExportEncoder:
    """Export a trained encoder: as ONNX for other programs, or as a small half-precision file for mofa3d."""

    run: Annotated[Positional[Path | None], arg(metavar="RUN")] = None
    """Folder of a training run, or its checkpoint.pt; by default the encoder that ships with the package."""
    out: Annotated[Path, arg(metavar="FILE")] = Path("encoder.onnx")
    """File to write; its suffix, .onnx or .safetensors, selects the format."""
    force: Flag = False
    """Replace an existing file."""

    def __call__(self) -> str:
        from mofa3d.encoders.checkpoint import Description, open_run, read_checkpoint, write_encoder
        from mofa3d.encoders.onnx_export import export_onnx
        from mofa3d.files.folders import refuse_existing

        run, kind = self.run or SHIPPED, self.out.suffix.lower()
        if kind not in KINDS:
            raise InputError(f"--out {self.out}: encoders are written as {' or '.join(KINDS)}; give such a file name")
        refuse_existing(self.out, self.force)
        if kind == ".onnx":
            encoder, decode = open_run(run)
            export_onnx(encoder, self.out, decode.camera.image_size)
        else:
            content = read_checkpoint(checkpoint_file(run))
            Description.from_dict(content["description"])
            write_encoder(self.out, content)
        return f"{self.out} ({self.out.stat().st_size / 1e6:.1f} MB)"
