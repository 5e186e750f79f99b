"""Fit the face model to photographs by Gauss-Newton steps, starting from the average face or from an encoder.

    python experiments/fit.py portrait.jpg --method thies --out fits
    python experiments/fit.py runs/corpus --source ytf --count 100 --out runs/garrido

For a photograph, or each photograph in a folder, writes code.json, camera.json, overlay.png, panels.png, mesh.glb and
mesh.ply. For a corpus of `mofa3d prepare`, fits held-out photographs and writes errors and times: results.md,
results.json and faces.png.

Reference: Garrido et al. 2016, "Reconstruction of Personalized 3D Face Rigs from Monocular Video" (the coarse layer);
Thies et al. 2016, "Face2Face".
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import tyro
from torch.utils.data import default_collate
from tqdm import tqdm
from tyro.conf import Positional

from mofa3d import Camera, Decoder, SemanticCode, load_model
from mofa3d.api import make_writer
from mofa3d.cli import program
from mofa3d.data.corpus.dataset import SUMMARY, Corpus
from mofa3d.data.corpus.split import spread
from mofa3d.data.input_folders import InputFolders, Source
from mofa3d.data.photo import find_photos, read_photo
from mofa3d.data.readable import readable
from mofa3d.encoders.checkpoint import open_run
from mofa3d.environment.machine import commit, machine
from mofa3d.errors import InputError
from mofa3d.evaluation.errors import Encode, average_face, code_errors, group_means
from mofa3d.evaluation.report import Report
from mofa3d.evaluation.training_report import BeforeAndAfter
from mofa3d.files.folders import take_folder
from mofa3d.files.names import safe_name
from mofa3d.files.record import unfinished
from mofa3d.files.whole_pictures import write_picture
from mofa3d.fitting.gauss_newton import garrido, thies
from mofa3d.numeric_options import check_ranges
from mofa3d.pictures import views
from mofa3d.reconstruction.options import OutputOptions
from mofa3d.reconstruction.reconstructor import FaceCrop, reconstruct_faces
from mofa3d.reconstruction.refine import Refiner, one_thread
from mofa3d.renderers import make_renderer

Errors = dict[str, torch.Tensor]
SHOWN = 8  # faces of a corpus in faces.png


@dataclass(frozen=True)
class Config:
    data: Positional[Path]
    """A photograph, a folder of photographs, or a corpus of `mofa3d prepare`."""
    method: Literal["garrido", "thies"] = "garrido"
    """50 steps (garrido) or 15 (thies)."""
    landmarks: bool = True
    """Use landmarks; in photographs they are detected."""
    checkpoint: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """Training run whose encoder predicts the start and whose face model is fitted; by default the average face."""
    model: str = "makehuman"
    """Name of the face model, if there is no checkpoint."""
    model_path: str = ""
    """File or folder to read the face model from; may be empty if it needs none."""
    out: Path = Path("fits")
    """Folder to write to; each photograph gets its own folder in it."""
    count: int = 100
    """Number of held-out photographs of a corpus to fit."""
    source: str = ""
    """Fit only photographs of this source of the corpus, for example ytf."""
    displaced: float = 0.0
    """Shift the start by so many millimeters in a random direction, to test the robustness of fits to a corpus."""
    seed: int = 0

    def __post_init__(self) -> None:
        check_ranges(self, displaced=(0, 1000))


def fitter(config: Config, decode: Decoder) -> Refiner:
    """The method, with or without landmarks."""
    return Refiner(decode, {"garrido": garrido, "thies": thies}[config.method](), config.landmarks)


def start(config: Config) -> tuple[Encode, Decoder]:
    """What says where fits start, and the face model."""
    if config.checkpoint is not None:
        return open_run(config.checkpoint)
    decode = Decoder(load_model(config.model, path=config.model_path or None), Camera())
    return average_face(decode), decode


def fit_photographs(config: Config, photos: list[Path]) -> int:
    """Fit the most prominent face of each photograph; returns how many have none that can be fitted."""
    encode, decode = start(config)
    refine = fitter(config, decode)
    options = OutputOptions(formats=("glb", "ply"), texture="none")
    write = make_writer(decode.model, options)

    def estimate(crop: FaceCrop) -> SemanticCode:
        return refine(SemanticCode.from_vector(encode(crop.pixels[None]), decode.model.sizes), crop)

    failed, folders = 0, InputFolders.open(config.out)
    for path in photos:
        source = Source.of(path)
        try:
            photo = read_photo(path)
            [found] = reconstruct_faces(photo, decode, estimate)
            with unfinished(config.out, safe_name(path.stem)) as results:
                write(results, str(path), photo, found)
                folder = folders.keep(results, path.stem, source, folders.find(path.stem, source))
        except InputError as error:
            failed += 1  # the other photographs are still worth doing
            print(f"error: {error}" if str(path) in str(error) else f"error: {path}: {error}", file=sys.stderr)
            continue
        print(f"{path} -> {folder}")
    return failed


def choose(corpus: Corpus, config: Config) -> list[int]:
    """Held-out photographs with all landmarks, evenly from all there are."""
    usable = [
        int(i)
        for i in np.flatnonzero(corpus.held_out)
        if config.source in ("", corpus.sources[i]) and (corpus.confidence[i] > 0).all()
    ]
    if not usable or config.count < 1:
        raise InputError(
            f"{config.data} has {len(usable)} held-out photographs with landmarks from "
            f"{config.source or 'any source'} (it has {', '.join(sorted(set(corpus.sources)))}), and --count is "
            f"{config.count}; choose another --source, or prepare the corpus with landmarks"
        )
    return readable(corpus, spread(usable, config.count))[0]


@torch.no_grad()
def fit_corpus(config: Config) -> None:
    """Fit held-out photographs of a corpus, and write errors before and after by source."""
    corpus = Corpus(config.data)
    indices = choose(corpus, config)
    take_folder(config.out, "fit.py")
    encode, decode = start(config)
    fit, render = fitter(config, decode).fit, make_renderer("vertex")
    sizes, generator = decode.model.sizes, torch.Generator().manual_seed(config.seed)
    before, after, shown = [], [], []
    # The first fit loads the compiled kernels, which is no part of any photograph's time.
    first = default_collate([corpus[indices[0]]])
    fit(SemanticCode.from_vector(encode(first["image"]), sizes), first)
    for index in tqdm(indices, desc="fitting", dynamic_ncols=True):
        batch = default_collate([corpus[index]])
        angle = 2 * torch.pi * torch.rand((), generator=generator)
        code = SemanticCode.from_vector(encode(batch["image"]), sizes)
        move = config.displaced * torch.stack([angle.cos(), angle.sin(), torch.zeros(())])
        code = code.replace(translation=code.translation + move)
        began = time.perf_counter()
        with one_thread():
            fitted = fit(code, batch).codes
        seconds = torch.tensor([time.perf_counter() - began])
        before.append({**code_errors(code, decode, render, batch), "seconds": torch.full((1,), torch.nan)})
        after.append({**code_errors(fitted, decode, render, batch), "seconds": seconds})
        if len(shown) < SHOWN:
            shown.append(views.panels(decode(fitted), make_renderer("cpu"), batch["image"])[0])
    write_picture(config.out / "faces.png", np.concatenate(shown))
    errors = [{name: torch.cat([row[name] for row in rows]) for name in rows[0]} for rows in (before, after)]
    write_results(config, decode, [corpus.sources[i] for i in indices], *errors)


def write_results(config: Config, decode: Decoder, sources: list[str], before: Errors, after: Errors) -> None:
    """Print the table of errors by source, and write it with what it was made with."""
    groups = {"all": [True] * len(sources)}
    groups |= {source: [source == other for other in sources] for source in sorted(set(sources))}
    facts = {
        "method": f"{config.method}, {'with' if config.landmarks else 'without'} landmarks",
        "start": str(config.checkpoint or "average face") + f", displaced by {config.displaced:g} mm",
        "face model": decode.model.name,
        "commit": commit(),
        "machine": machine(),
    }
    table = BeforeAndAfter(groups, before, after).table()
    print(table)
    start = {name: value for name, value in before.items() if name != "seconds"}
    means = {"start": group_means(start, groups), "fit": group_means(after, groups)}
    Report("Fits, start → fit", facts, [table], means).write(config.out, "results")


def main(config: Config) -> int:
    if (config.data / SUMMARY).is_file():
        fit_corpus(config)
        return 0
    photos = find_photos(config.data) if config.data.is_dir() else [config.data]
    return 2 if fit_photographs(config, photos) else 0


if __name__ == "__main__":
    program.run(main, Config, __doc__)
