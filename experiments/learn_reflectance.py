"""Learn the reflectance of a face model from photographs: fit faces, divide by their light, take principal components.

    python experiments/learn_reflectance.py --data CORPUS --out runs/reflectance
    python experiments/learn_reflectance.py --data CORPUS --checkpoint runs/of_my_model --out runs/my_reflectance

The corpus comes from `mofa3d prepare`, with landmarks; held-out photographs are not used. The default model is fitted
to MediaPipe's points, so that no color moves its geometry, and light and reflectance to the photograph. Any other model
needs an encoder that was trained for it, and is fitted to landmarks and colors from its predictions on. Writes
model.safetensors (for `--model-path`), reflectance.safetensors (what the package ships), report.md, report.json and
pictures into --out.

Reference: Tewari et al. 2018, "Self-supervised Multi-level Face Model Learning for Monocular Reconstruction at over
250 Hz", and 2019, "FML", which learn such models from photographs inside the network.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from mofa3d import Camera, Decoder, SemanticCode, load_model, metrics
from mofa3d.cli import program
from mofa3d.data.batches.in_order import in_order
from mofa3d.data.corpus.balance import balanced, group_of
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.crop import IMAGE_SIZE
from mofa3d.data.readable import readable
from mofa3d.encoders.checkpoint import open_run
from mofa3d.environment.machine import commit
from mofa3d.errors import InputError
from mofa3d.evaluation.reflectance_report import Learned, write_report
from mofa3d.files.folders import take_folder
from mofa3d.fitting.adam import FitConfig, fit_codes
from mofa3d.fitting.color_fit import ColorFit
from mofa3d.fitting.delighting import ReflectanceSamples, delight, divide_light, front_light, symmetrize, unoccluded
from mofa3d.fitting.dense_fit import DenseFit
from mofa3d.fitting.reflectance_learning import Fits, divide, with_components
from mofa3d.fitting.robust_pca import robust_pca
from mofa3d.models.makehuman import dense_landmarks
from mofa3d.models.makehuman.learned import known_count, mesh_hash, save_reflectance
from mofa3d.models.makehuman.parts import colored_by_part
from mofa3d.models.mesh_fields import mirror_vertices
from mofa3d.morphable_model import MorphableModel, save_model
from mofa3d.numeric_options import MOST, check_ranges
from mofa3d.renderers import make_renderer
from mofa3d.renderers.cpu_rasterizer import rasterize

FEWEST = 4  # photographs per mode


@dataclass(frozen=True)
class Config:
    data: Path
    """A corpus of `mofa3d prepare` with landmarks."""
    checkpoint: Path | None = None
    """Folder of a training run on that corpus, whose encoder starts the fits, with its face model."""
    out: Path = Path("runs/reflectance")
    photographs: int = 3000
    """Number of photographs to learn from, equally many of each group (UTKFace's labels, other sources)."""
    modes: int = 80
    rounds: int = 3
    """Number of rounds of fitting faces and estimating the reflectance."""
    landmark_limit: float = 5.0
    """Leave out fits with a larger landmark error, in pixels."""
    batch_size: int = 24
    fit: FitConfig = field(default_factory=FitConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        some = dict.fromkeys(("photographs", "modes", "rounds", "batch_size"), (1, 1_000_000))
        check_ranges(self, **some, landmark_limit=(0, MOST))


def choose(corpus: Corpus, config: Config) -> tuple[list[int], list[str]]:
    """Indices of the photographs to learn from, and the group of each."""
    usable = torch.from_numpy(~corpus.held_out) & corpus.confidence.bool().all(dim=1)
    candidates, _ = readable(corpus, usable.nonzero().flatten().tolist())
    if config.checkpoint is None:
        candidates = [i for i in candidates if corpus.face(i).dense is not None]
    groups = [group_of(corpus.photos[i], corpus.sources[i]) for i in candidates]
    chosen = balanced(groups, config.photographs, config.seed)
    if len(chosen) < FEWEST * config.modes:
        raise InputError(
            f"{config.data} has {len(chosen)} photographs with landmarks to learn {config.modes} modes from; give at "
            f"least {FEWEST} times as many, or fewer --modes"
        )
    return [candidates[i] for i in chosen], [groups[i] for i in chosen]


def start(corpus: Corpus, indices: list[int], config: Config) -> tuple[Tensor, Decoder]:
    """Codes to begin with, and the decoder of their face model."""
    if config.checkpoint is not None:
        encoder, decode = open_run(config.checkpoint)
        with torch.no_grad():
            codes = [encoder(batch["image"]) for batch in in_order(corpus, indices, 48, "encoding")]
        return torch.cat(codes), decode
    decode = Decoder(load_model("makehuman"), Camera(IMAGE_SIZE))
    fit_points = DenseFit(decode.model, dense_landmarks(), decode.camera)
    codes = []
    for begin in tqdm(range(0, len(indices), config.batch_size), desc="fitting points", dynamic_ncols=True):
        points = [corpus.face(i).dense for i in indices[begin : begin + config.batch_size]]
        codes.append(fit_points(torch.tensor(points, dtype=torch.float32)[..., :2]).code.to_vector())
    return torch.cat(codes), decode


def fit(codes: Tensor, corpus: Corpus, indices: list[int], whole: Decoder, config: Config, label: str) -> Fits:
    """Fit the frontal face to every photograph, and measure."""
    model = whole.model
    decode, render = Decoder(model.restrict(model.frontal), whole.camera), make_renderer("vertex")
    fit_colors, found = ColorFit(decode, keep_tone=False), []
    batches = in_order(corpus, indices, config.batch_size, label)
    for rows, batch in zip(codes.split(config.batch_size), batches, strict=True):
        code = SemanticCode.from_vector(rows, model.sizes)
        if config.checkpoint is None:
            code = fit_colors(code, batch["image"])
        else:
            code = fit_codes(code, batch, decode, render, config.fit)
        with torch.no_grad():
            scene = decode(code)
            points = (scene.landmarks, batch["landmarks"], batch["confidence"])
            errors = metrics.photometric_error(render(scene), batch["image"]), metrics.landmark_error(*points)
            found.append((code.to_vector(), *errors, front_light(scene)))
    return Fits(*(torch.cat(column) for column in zip(*found, strict=True)))


@torch.no_grad()
def sample(fits: Fits, corpus: Corpus, indices: list[int], decode: Decoder, config: Config) -> ReflectanceSamples:
    """Reflectance of the face as the photographs show it, both sides averaged."""
    model, region = decode.model, decode.model.frontal
    mirror = torch.from_numpy(mirror_vertices(model.mean_shape[region].double().numpy()))
    parts = []
    batches = in_order(corpus, indices, config.batch_size, "sampling")
    for rows, batch in zip(fits.codes.split(config.batch_size), batches, strict=True):
        scene = decode(SemanticCode.from_vector(rows, model.sizes))
        fragments = rasterize(scene.pixels, scene.depth, scene.faces, scene.camera.image_size, cull_backfaces=True)
        seen = delight(scene, batch["image"], unoccluded(scene, fragments.zbuf[..., 0]))
        parts.append(symmetrize(ReflectanceSamples(*(value[:, region] for value in seen)), mirror))
    return ReflectanceSamples(*(torch.cat(column) for column in zip(*parts, strict=True)))


def in_parts(model: MorphableModel) -> MorphableModel:
    """The default model with eyes, lids and mouth in a color each; any other model as it is."""
    painted = load_model("makehuman", reflectance="pigment") if model.name == "makehuman" else None
    same = painted is not None and mesh_hash(painted.faces) == mesh_hash(model.faces)
    return colored_by_part(model, painted) if same else model


def main(config: Config) -> None:
    torch.manual_seed(config.seed)
    corpus = Corpus(config.data)
    indices, groups = choose(corpus, config)
    take_folder(config.out, "learn_reflectance.py")
    codes, decode = start(corpus, indices, config)
    history = []
    for number in range(1, config.rounds + 1):
        fits = fit(codes, corpus, indices, decode, config, f"fitting, round {number}")
        history.append(fits)
        good = (fits.landmark < config.landmark_limit).nonzero().flatten()
        if len(good) < FEWEST * config.modes:
            raise InputError(
                f"only {len(good)} of {len(indices)} fits come within {config.landmark_limit:g} px of their landmarks, "
                f"too few for {config.modes} modes; train the encoder longer, or raise --landmark-limit"
            )
        samples = sample(fits, corpus, indices, decode, config)
        factor = torch.ones(len(indices), 3)
        factor[good] = divide(fits.light[good], ReflectanceSamples(*(value[good] for value in samples)))
        samples = samples._replace(colors=samples.colors * factor[:, None])
        history[-1] = fits._replace(light=fits.light / factor.log().mean(dim=1).exp())
        components = robust_pca(samples.colors[good], samples.weights[good], config.modes, seed=config.seed)
        codes = restart(fits.codes[good], components.codes, factor[good], decode.model)
        decode = Decoder(with_components(decode.model, components, decode.model.frontal), decode.camera)
        indices, groups = ([values[i] for i in good.tolist()] for values in (indices, groups))
    parted = in_parts(decode.model)
    save_model(parted, config.out / "model.safetensors")
    # Teeth and tongue come last in the default model, and are painted.
    save_reflectance(parted, config.out / "reflectance.safetensors", None if config.checkpoint else known_count())
    kept = ReflectanceSamples(*(value[good] for value in samples))
    began = str(config.checkpoint or "MediaPipe's points")
    facts = {"data": f"{config.data}, {len(corpus)} faces", "start": began, "commit": commit()}
    learned = Learned(decode.model, history, good, components, kept, groups)
    print(write_report(config.out, facts, learned, make_renderer("cpu")))


def restart(codes: Tensor, reflectance: Tensor, factor: Tensor, model: MorphableModel) -> Tensor:
    """Codes fitted to the old model with the new reflectance, and with the light that goes with it."""
    code = SemanticCode.from_vector(codes, model.sizes)
    return code.replace(reflectance=reflectance, illumination=divide_light(code.illumination, factor)).to_vector()


if __name__ == "__main__":
    program.run(main, Config, __doc__)
