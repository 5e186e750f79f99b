"""The same mathematics, fast: kernels for the CPU and the GPU."""
