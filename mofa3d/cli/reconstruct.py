"""``mofa3d reconstruct``: from photographs and videos to faces; imports what it needs when it runs."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from mofa3d.cli.program import Flag
from mofa3d.encoders.weights import SHIPPED
from mofa3d.errors import InputError
from mofa3d.reconstruction.options import OutputOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mofa3d.data.isolated_reader import IsolatedReader
    from mofa3d.data.sources import Item
    from mofa3d.reconstruction.batch import BatchTools


@dataclass(frozen=True)
class Reconstruct:
    """Reconstruct the faces in photographs and videos; each gets a folder of its own.

    A photograph gives the semantic code, the camera, an overlay and textured meshes; a video gives an overlay video,
    the codes of all frames with one identity, and an animated mesh. A warning tells of faces that are small, cut off or
    hardly recognisable, and of results whose features lie beside those detected in the photograph, by more than 5 % of
    the distance between the eyes.
    """

    inputs: Annotated[Positional[tuple[str, ...]], arg(metavar="INPUT...")]
    """Photographs, folders, glob patterns, .tar archives of photographs, and videos."""
    out: Annotated[Path, arg(metavar="FOLDER")] = Path("reconstructions")
    """Folder to write to; results that already exist there are skipped."""
    checkpoint: Annotated[Path | None, arg(metavar="RUN")] = None
    """Encoder to use: folder of a training run, its checkpoint.pt, or a .safetensors file; by default the encoder that
    ships with the package."""
    every_face: Flag = False
    """Reconstruct every face of a photograph, not only the most prominent one. Videos only ever use that one."""
    refine: Flag = False
    """Fit each face to the points that are detected in its photograph, and its colors to the photograph. Videos are
    fitted to the predictions for all of their frames."""
    as_predicted: Flag = False
    """Leave each code as the encoder predicts it; otherwise skin colors and light are fitted to the photograph, which
    takes some milliseconds; those of videos, to every frame."""
    same_person: Flag = False
    """Take all photographs for one person: one shape and one reflectance, with a pose, an expression and a light each,
    fitted as by --refine, and one texture of what they all show. A warning names a photograph that seems to show
    somebody else."""
    output: Annotated[OutputOptions, arg(name="")] = field(default_factory=OutputOptions)
    runtime: Literal["auto", "torch", "onnx", "bfloat16"] = "auto"
    """What runs the encoder: PyTorch ("torch"), onnxruntime ("onnx", needs the extra `onnx`), PyTorch in bfloat16, or
    whichever is fastest for this encoder and number of images ("auto")."""

    def __call__(self) -> str:
        """Reconstruct; returns what to say about it.

        Raises:
            InputError: something failed; the rest is done, and ``failures.csv`` lists what is not.
        """
        from mofa3d.data.isolated_reader import IsolatedReader

        if self.refine and self.as_predicted:
            raise InputError("--refine changes the codes that --as-predicted keeps unchanged; give only one of the two")
        if self.same_person and (self.every_face or self.as_predicted):
            raise InputError(
                "--same-person fits the most prominent face of each photograph; leave out --every-face and "
                "--as-predicted"
            )
        with closing(IsolatedReader()) as reader:
            return self._reconstruct(reader)

    def _reconstruct(self, reader: IsolatedReader) -> str:
        from mofa3d.encoders.weights import checkpoint_file, digest_of
        from mofa3d.files.names import printable
        from mofa3d.reconstruction.batch import BatchReconstruction, find_inputs

        run = checkpoint_file(self.checkpoint or SHIPPED)
        about = {
            "encoder": digest_of(run),
            "every_face": self.every_face,
            "refine": self.refine,
            "as_predicted": self.as_predicted,
            "output": asdict(self.output),
        }
        items = find_inputs(self.inputs, self.out)[0] if self.same_person else []
        if self.same_person:  # a photograph more, and all are done again
            about["same_person"] = sorted(f"{item.key} {item.stamp}" for item in items)
        batch = BatchReconstruction(lambda: self._tools(run, reader, items), about, reader)
        done = batch(self.inputs, self.out)
        if done.failures:
            raise InputError(
                f"{len(done.failures)} could not be reconstructed, {len(done.written) + done.skipped} could; "
                f"the reasons are in {done.listed}"
            )
        lines = [printable(str(folder)) for folder in done.written]
        return "\n".join([*lines, f"{done.skipped} were there already"] if done.skipped else lines)

    def _tools(self, run: Path, reader: IsolatedReader, person: Sequence[Item]) -> BatchTools:
        """What reconstructs, with the encoder open; photographs of one person are done together."""
        reader.start()  # while the encoder is opened

        from mofa3d.api import open_tools
        from mofa3d.reconstruction.batch import BatchTools

        reconstructor, write = open_tools(
            run,
            refine=self.refine,
            fit_colors=not self.as_predicted,
            runtime=self.runtime,
            output=self.output,
        )
        if person:
            from mofa3d.reconstruction.same_person import person_tools

            return person_tools(reconstructor, write, person, reader)

        def film(path: Path, folder: Path) -> None:
            from mofa3d.reconstruction.video.reconstruct import VideoOptions, reconstruct_video

            options = VideoOptions(
                mesh="glb" in self.output.formats,
                blendshapes=self.output.blendshapes,
                morph_targets=self.output.morph_targets or None,
                texture=self.output.texture,
                texture_size=self.output.texture_size,
            )
            reconstruct_video(path, reconstructor, write.render, folder, options, reader, write.textures)

        return BatchTools(lambda photo: reconstructor(photo, self.every_face), write, film)
