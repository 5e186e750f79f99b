"""Gauss-Newton fits of a photograph, beside as many of Adam's steps on the same losses; and fits of colors alone."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from benchmarks.measure import Setup, Timing, compare
from mofa3d import Camera, Decoder, SemanticCode, load_model, losses
from mofa3d.data.corpus.synthetic import SyntheticConfig, sample_codes
from mofa3d.fitting.color_fit import ROUNDS, ColorFit
from mofa3d.fitting.gauss_newton import GaussNewton, GaussNewtonConfig, Level, garrido, thies
from mofa3d.objective import Batch, compute_losses
from mofa3d.renderers import make_renderer

SUBJECT = "fits"


def rows(setup: Setup) -> Iterator[Timing]:
    """On one thread, as experiments/fit.py: on two, these small matrices take longer."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield from _rows(setup)
    finally:
        torch.set_num_threads(threads)


def _rows(setup: Setup) -> Iterator[Timing]:
    decode = Decoder(load_model("makehuman"), Camera(240))
    codes = sample_codes(SyntheticConfig(), 1, decode.model.sizes, torch.Generator().manual_seed(0))
    with torch.no_grad():
        scene = decode(codes)
        image = make_renderer("cpu")(scene).image[:, :3].contiguous()
    batch = {"image": image, "landmarks": scene.landmarks, "confidence": torch.ones(1, 68)}
    start = SemanticCode.from_vector(torch.zeros_like(codes.to_vector()), decode.model.sizes)
    quick = GaussNewtonConfig(levels=(Level(4, 40, 2),))
    for name, config in {"quick": quick}.items() if setup.quick else {"garrido": garrido(), "thies": thies()}.items():
        steps = sum(level.steps for level in config.levels)
        fit = GaussNewton(decode, config)
        works = {
            "Adam on autograd": lambda config=config, steps=steps: descend(decode, config, start, batch, steps),
            "Gauss-Newton": lambda fit=fit: fit(start, batch),
        }
        notes = {way: f"photometric error {error(decode, work(), image):.3f}" for way, work in works.items()}
        # JᵀJ of three rows for each vertex, of which one half is computed.
        frontal, size = int(decode.model.frontal.sum()), decode.model.sizes.total
        products = sum(level.steps * 3 * (frontal // level.every) * size**2 for level in config.levels)
        floor = setup.ceilings.floor(products, 0)
        yield from compare(setup, SUBJECT, f"{name}, {steps} steps, one image, one thread", works, floor, 3, notes)
    # The right geometry with nobody's colors, of which a whole fit changes the geometry too.
    plain = codes.replace(reflectance=start.reflectance, illumination=start.illumination)
    fit, color_fit = GaussNewton(decode, quick if setup.quick else thies()), ColorFit(decode)
    works = {"Gauss-Newton on everything": lambda: fit(plain, batch), "least squares": lambda: color_fit(plain, image)}
    notes = {way: f"photometric error {error(decode, work(), image):.3f}" for way, work in works.items()}
    chosen, size = len(color_fit.chosen), decode.model.sizes.reflectance
    floor = setup.ceilings.floor(ROUNDS * 3 * chosen * size**2, 0)
    yield from compare(setup, SUBJECT, "reflectance and light, one image, one thread", works, floor, 5, notes)


def descend(decode: Decoder, config: GaussNewtonConfig, start: SemanticCode, batch: Batch, steps: int) -> SemanticCode:
    """As many steps of Adam on all frontal vertices, of which each costs one gradient."""
    vector = start.to_vector().clone().requires_grad_()
    optimizer, render, weights = torch.optim.Adam([vector], 0.05), make_renderer("vertex"), config.loss
    for _ in range(steps):
        code = SemanticCode.from_vector(vector, decode.model.sizes)
        scene = decode(code)
        terms = compute_losses(code, scene, render(scene), batch, weights)
        optimizer.zero_grad()
        sum(getattr(weights, name) * term.sum() for name, term in terms.items()).backward()
        optimizer.step()
    return SemanticCode.from_vector(vector.detach(), decode.model.sizes)


@torch.no_grad()
def error(decode: Decoder, found: object, image: torch.Tensor) -> float:
    """The loss of Eq. 8 of what a fit gave."""
    code = found if isinstance(found, SemanticCode) else found.codes
    return float(losses.photometric(make_renderer("vertex")(decode(code)), image))
