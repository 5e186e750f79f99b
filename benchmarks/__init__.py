"""What `experiments/benchmark.py` measures, one subject per file, each beside a plain reference in the same run."""
