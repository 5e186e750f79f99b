"""Whether torchrun's processes can add up gradients through NCCL, as trainings on several GPUs do."""

from __future__ import annotations

import json
import os
import statistics
import time

import torch
import torch.distributed as dist

NUMBERS = 2_500_000  # of MobileNetV2's gradients
REPEATS = 20


def main() -> None:
    """Add up numbers and print what it took, once."""
    card = int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count()
    torch.cuda.set_device(card)
    dist.init_process_group("nccl")
    rank, world = dist.get_rank(), dist.get_world_size()
    times = []
    for _ in range(REPEATS):
        numbers = torch.full((NUMBERS,), float(rank + 1), device="cuda")
        torch.cuda.synchronize()
        begun = time.perf_counter()
        dist.all_reduce(numbers)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - begun)
    right = bool((numbers == world * (world + 1) / 2).all())
    if rank == 0:
        print(json.dumps({"ranks": world, "right": right, "milliseconds": 1e3 * statistics.median(times)}))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
