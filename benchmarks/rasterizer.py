"""The CPU rasterizer beside PyTorch3D's, without and with its backward pass, and the whole "cpu" renderer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from benchmarks.measure import Setup, Timing, Work, compare
from mofa3d import Camera, Decoder, load_model
from mofa3d.data.corpus.synthetic import SyntheticConfig, sample_codes
from mofa3d.environment.memory import keep_freed_memory
from mofa3d.renderers import make_renderer
from mofa3d.renderers.cpu_rasterizer import rasterize_scene
from mofa3d.renderers.pytorch3d_rasterizer import Pytorch3dRasterizer
from mofa3d.renderers.rasterized import Rasterizer
from mofa3d.scene import Renderer, Scene

SUBJECT = "rasterizer"
FRAGMENT = 8 + 4 + 12 + 4  # bytes of a pixel's face, depth, barycentric coordinates and distance
COLOR = 16  # bytes of a pixel's RGBA


def rows(setup: Setup) -> Iterator[Timing]:
    """One image of each size and few turns, because PyTorch3D's rasterizer takes seconds, at 480 px half a minute."""
    keep_freed_memory()
    model = load_model("makehuman")
    for size in (32, 48) if setup.quick else (120, 240, 480):
        setup.begin()
        decode = Decoder(model, Camera(size))
        codes = sample_codes(SyntheticConfig(), 1, model.sizes, torch.Generator().manual_seed(0))
        with torch.no_grad():
            scene = decode(codes)
        notes = {"cpu": agreement(scene)}
        repeats, mesh = 1 if setup.quick or size > 240 else 3, 12 * (len(model.mean_shape) + len(model.faces))
        works = {
            "pytorch3d": lambda scene=scene: Pytorch3dRasterizer()(scene),
            "cpu": lambda scene=scene: rasterize_scene(scene),
        }
        floor = setup.ceilings.floor(0, mesh + size**2 * FRAGMENT)
        yield from compare(setup, SUBJECT, f"rasterize, {size} px", works, floor, repeats, notes)
        floor = setup.ceilings.floor(0, 2 * mesh + size**2 * 2 * FRAGMENT)
        works = {
            "pytorch3d": raster_forward_backward(scene, Pytorch3dRasterizer()),
            "cpu": raster_forward_backward(scene, rasterize_scene),
        }
        yield from compare(setup, SUBJECT, f"rasterize, forward and backward, {size} px", works, floor, repeats)
        ways = {
            "pytorch3d, hard": make_renderer("pytorch3d"),
            "cpu, hard": make_renderer("cpu", antialias=False),
            "cpu": make_renderer("cpu"),
        }
        floor = setup.ceilings.floor(0, 2 * mesh + size**2 * 2 * (FRAGMENT + COLOR))
        works = {way: forward_backward(scene, render) for way, render in ways.items()}
        yield from compare(setup, SUBJECT, f"whole renderer, forward and backward, {size} px", works, floor, repeats)


def raster_forward_backward(scene: Scene, rasterize: Rasterizer) -> Work:
    """One rasterization and the gradient of its mean square with respect to the vertices."""

    def work() -> None:
        vertices = scene.vertices.clone().requires_grad_()
        positions = scene.camera.to_camera(vertices, scene.rotation, scene.translation)
        moved = replace(scene, vertices=vertices, positions=positions, pixels=scene.camera.project(positions))
        rasterize(moved).bary_coords.square().mean().backward()

    return work


def forward_backward(scene: Scene, render: Renderer) -> Work:
    """One rendering and the gradient of its mean square with respect to what the scene is made of."""

    def work() -> None:
        leaves = {name: getattr(scene, name).clone().requires_grad_() for name in ("pixels", "normals", "reflectance")}
        render(replace(scene, **leaves)).image.square().mean().backward()

    return work


def agreement(scene: Scene) -> str:
    """How many pixels see the same face, and how far the barycentric coordinates are apart there."""
    ours, theirs = rasterize_scene(scene), Pytorch3dRasterizer()(scene)
    covered = (ours.pix_to_face >= 0) | (theirs.pix_to_face >= 0)
    same = (ours.pix_to_face == theirs.pix_to_face) & covered
    apart = (ours.bary_coords - theirs.bary_coords).abs().amax(dim=-1)[same]
    return f"same face at {float(same.sum() / covered.sum()):.2%} of the covered pixels, weights to {apart.mean():.0e}"
