"""Time the CPU rasterizer against PyTorch3D's on the default model, and check that they agree, in one run.

    python benchmarks/rasterizer.py

Also times the whole "cpu" renderer: rasterize, interpolate, shade and antialias, forward and backward.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from mofa3d import Camera, Decoder, SemanticCode, load_model, program
from mofa3d.data.synthetic import SyntheticConfig, sample_codes
from mofa3d.environment import commit, machine
from mofa3d.scene import Renderer, Scene
from renderers import make_renderer
from renderers.cpu_rasterizer import rasterize_scene
from renderers.pytorch3d_rasterizer import Pytorch3dRasterizer


@dataclass(frozen=True)
class Config:
    image_size: int = 240
    batch_size: int = 4
    """Images per call of our rasterizer; PyTorch3D's gets one."""
    repeats: int = 20
    reference_repeats: int = 3
    seed: int = 0


def measure(label: str, work: Callable[[], object], repeats: int, images: int) -> float:
    """Print and return the median time per image, ms."""
    work()  # compiles and allocates
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start) / images)
    median = statistics.median(times)
    print(f"{label:>44}: median {median:8.2f} ms per image, {min(times):.2f} to {max(times):.2f}")
    return median


def forward_backward(decode: Decoder, code: SemanticCode, render: Renderer) -> Callable[[], None]:
    """One rendering of given scenes and the gradient of its mean square with respect to what it is made of."""
    with torch.no_grad():
        scene = decode(code)

    def work() -> None:
        leaves = {name: getattr(scene, name).clone().requires_grad_() for name in ("pixels", "normals", "reflectance")}
        image = render(replace(scene, **leaves)).image
        image.square().mean().backward()

    return work


def agreement(scene: Scene) -> None:
    """Print how many pixels see the same face, and how far the barycentric coordinates are apart there."""
    ours, theirs = rasterize_scene(scene), Pytorch3dRasterizer()(scene)
    covered = (ours.pix_to_face >= 0) | (theirs.pix_to_face >= 0)
    same = (ours.pix_to_face == theirs.pix_to_face) & covered
    apart = (ours.bary_coords - theirs.bary_coords).abs().amax(dim=-1)[same]
    share, worst, mean = float(same.sum() / covered.sum()), float(apart.max()), float(apart.mean())
    print(f"same face at {share:.4%} of {int(covered.sum())} covered pixels")
    print(f"barycentric coordinates there differ by {worst:.1e} at most, {mean:.1e} on average")


@torch.no_grad()
def time_rasterizers(decode: Decoder, codes: SemanticCode, config: Config) -> None:
    scenes, single = decode(codes), decode(codes[:1])
    reference = Pytorch3dRasterizer()
    ours = measure("our rasterizer", lambda: rasterize_scene(scenes), config.repeats, config.batch_size)
    alone = measure("our rasterizer, one image", lambda: rasterize_scene(single), config.repeats, 1)
    theirs = measure("PyTorch3D's rasterizer", lambda: reference(single), config.reference_repeats, 1)
    print(f"{theirs / ours:.0f} times faster in batches, {theirs / alone:.0f} times for one image")
    agreement(single)


def time_renderer(label: str, render: Renderer, decode: Decoder, codes: SemanticCode, config: Config) -> None:
    """The whole renderer, from a scene to its image and back."""
    with torch.no_grad():
        scene = decode(codes)
        measure(f"cpu renderer, {label}, forward", lambda: render(scene), config.repeats, config.batch_size)
    work = forward_backward(decode, codes, render)
    measure(f"cpu renderer, {label}, forward+backward", work, config.repeats, config.batch_size)


def main(config: Config) -> None:
    decode = Decoder(load_model("makehuman"), Camera(config.image_size))
    print(f"{config}\n{machine()}, commit {commit()}")
    print(f"{len(decode.model.mean_shape)} vertices, {len(decode.model.faces)} faces")
    generator = torch.Generator().manual_seed(config.seed)
    codes = sample_codes(SyntheticConfig(), config.batch_size, decode.model.sizes, generator)
    time_rasterizers(decode, codes, config)
    time_renderer("antialiased", make_renderer("cpu"), decode, codes, config)
    time_renderer("hard", make_renderer("cpu", antialias=False), decode, codes, config)


if __name__ == "__main__":
    program.run(main, Config, __doc__)
