"""Compile the kernels of the fused loss for a GPU, which needs none; prints their names."""

from __future__ import annotations

from triton import compile as compile_kernel
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from mofa3d.kernels.vertex_loss import cuda_triton

HOPPER = GPUTarget("cuda", 90, 32)
INTEGERS = {
    "given_stride", "frontal_count", "count", "ring", "size", "columns", "first_column", "gradient_stride", "batch",
}  # fmt: skip
NUMBERS = {"focal", "rest_distance", "background_cost", "weight"}


def kind_of(name: str) -> str:
    """An argument's type in Triton's notation."""
    if name in INTEGERS:
        return "i32"
    if name in NUMBERS:
        return "fp32"
    return "*i32" if name == "corners" else "*fp32"


def main() -> None:
    for kernel in (cuda_triton.compare, cuda_triton.compare_back, cuda_triton.finish):
        names = kernel.arg_names
        for areas in (False, True) if "areas" in names else (None,):
            chosen = {"areas": areas, "block": 32}
            signature = {name: "constexpr" if name in chosen else kind_of(name) for name in names}
            constants = {(names.index(name),): value for name, value in chosen.items() if name in names}
            source = ASTSource(kernel, signature, constants)
            compiled = compile_kernel(source, target=HOPPER, options={"num_warps": 1})
            assert compiled.asm["cubin"]
            print(kernel.__name__, areas)  # noqa: T201


if __name__ == "__main__":
    main()
