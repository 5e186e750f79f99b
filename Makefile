# make            the same as `make install`
# make train      train the autoencoder with the paper's renderer into runs/default
# make encoder    train the encoder that ships with mofa3d: make encoder CORPUS=folder of `mofa3d prepare`
# make lint       linter, format, import rules and static types
# make test       what lint does, and the quick tests
# make test-isa   the tests that depend on the processor, with its instruction sets held down to AVX2 and to SSE
# make gpu-check  what needs a GPU, in at most ten minutes, as one JSON; without a GPU it says so
# make docs       the documentation and the reference of the library into site/
# make wheel     the package that `pip install` takes into dist/
# make cuda-build compile nvdiffrast's CUDA plugin; needs a C++ compiler, but neither a GPU nor a CUDA toolkit
# PYTHON=python3.12 chooses the interpreter that .venv is made with.

VENV := .venv
BIN := $(VENV)/bin
# dlib (extra landmarks) is left out: its landmark model is for non-commercial use only.
EXTRAS ?= fan,bfm,heic,onnx,view,test
STAMP := $(VENV)/.installed
SUPPORTED := import sys, venv; sys.exit(not (3, 10) <= sys.version_info < (3, 13))
PYTHON ?= $(firstword $(foreach name,python3 python3.12 python3.11 python3.10,\
	$(shell $(name) -c '$(SUPPORTED)' >/dev/null 2>&1 && echo $(name))))

.PHONY: install train encoder test test-isa gpu-check lint docs wheel cuda-build clean
.DEFAULT_GOAL := install

install: $(STAMP)

$(STAMP): setup.cfg pyproject.toml requirements-data.txt
	@$(if $(PYTHON),,echo "no Python 3.10, 3.11 or 3.12 found; install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1)
	@$(PYTHON) -c '$(SUPPORTED)' || { echo "$(PYTHON) is not Python 3.10, 3.11 or 3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[$(EXTRAS)]'
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps -r requirements-data.txt
	touch $@

train: $(STAMP)
	$(BIN)/python experiments/train_mofa.py --renderer=vertex --out runs/default

# What made the shipped encoder, from ImageNet's weights: an hour and a half on one core, after a quarter of an hour.
ENCODER := runs/encoder
ITERATIONS ?= 14000
encoder: $(STAMP)
	@test -n "$(CORPUS)" || { echo "name the corpus: make encoder CORPUS=folder" >&2; exit 1; }
	mkdir -p $(ENCODER)
	$(BIN)/python experiments/fit_corpus.py $(CORPUS) --videos ytf --out $(ENCODER)/targets.safetensors --force
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -e '.[recognition]'
	$(BIN)/python experiments/embed_corpus.py $(CORPUS) --out $(ENCODER)/embeddings.safetensors
	OMP_NUM_THREADS=1 $(BIN)/python experiments/train_mofa.py --renderer=vertex --data $(CORPUS) \
	  --targets $(ENCODER)/targets.safetensors --regularizer 1e-3 --points 5 --openings 12 --tone 5 \
	  --embeddings $(ENCODER)/embeddings.safetensors \
	  --iterations $(ITERATIONS) --resume auto --out $(ENCODER)/run
	OMP_NUM_THREADS=1 $(BIN)/python experiments/fit_person_head.py $(ENCODER)/run --data $(CORPUS) --videos ytf \
	  --targets $(ENCODER)/targets.safetensors --out $(ENCODER)/makehuman_mobilenet_v2.safetensors --force

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -m "not slow and not cuda"

# An empty NUMBA_CPU_FEATURES leaves kernels what the named processor has; else they keep what this one has.
HELD := -m pytest -q -m "processor and not slow and not cuda"
AVX2 := ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES=
SSE := ONEDNN_MAX_CPU_ISA=SSE41 ATEN_CPU_CAPABILITY=default NUMBA_CPU_NAME=generic NUMBA_CPU_FEATURES=

test-isa: $(STAMP)
	$(AVX2) $(BIN)/python $(HELD)
	$(SSE) $(BIN)/python $(HELD)

gpu-check: $(STAMP)
	@$(BIN)/python experiments/gpu_check.py

docs: $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

wheel: $(STAMP)
	$(BIN)/python -m pip wheel --disable-pip-version-check --no-deps --wheel-dir dist .

cuda-build: $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[cuda-build]'
	$(BIN)/python experiments/build_nvdiffrast.py

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .import_linter_cache .mypy_cache site
	find mofa3d renderers experiments tests -name __pycache__ -type d -prune -exec rm -rf {} +
