"""Freed memory can be kept, in a process of its own because it cannot be undone."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch

from mofa3d.environment import memory

PROGRAM = """
import resource
import statistics
import torch
from mofa3d.environment.memory import keep_freed_memory

def faults_of_an_allocation():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def usual_faults():
    # At first, small allocations cut pieces off a freed block, and the next large one does not fit in what is left.
    for _ in range(30):
        faults_of_an_allocation()
    return statistics.median(faults_of_an_allocation() for _ in range(9))

print(usual_faults(), keep_freed_memory(), usual_faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_serves_the_next_allocation():
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=300, check=True)
    before, could, after = result.stdout.split()
    assert could == "True"
    assert int(before) > 10  # small pages or huge ones, they are fetched again
    assert int(after) < 0.1 * int(before)


def test_data_take_half_of_a_free_gpu_at_most(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2000, 1))
    assert memory.SHARE == 0.5
    assert memory.fits_in_memory(999, "cuda")
    assert not memory.fits_in_memory(1000, "cuda")
    assert not memory.fits_in_memory(1, "cpu")
