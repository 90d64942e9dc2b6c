# Every target sets itself up: a virtual environment in .venv with the pinned versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin

# the demo's size; `.ci/run` uses a shorter one
EVALUATIONS ?= 11
KIMG ?= 10
DEMO ?= demo
DEMO_FLAGS ?= --finalists 1 --confirm 3 --samples 2000

# bytecode is worth keeping: every command and worker imports torch
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test numeric lint bench wheel clean

demo: .venv/installed
	$(BIN)/evogan search wdcgan_wide --data digits --references ragan \
		--evaluations $(EVALUATIONS) --kimg $(KIMG) --name $(DEMO) $(DEMO_FLAGS)

# one more than the cores that it is made for: tests of Ray and of what is killed wait more than they compute
SHARED := --dist loadfile --no-loadscope-reorder
test: .venv/installed
	$(BIN)/python -m pytest -n 3 $(SHARED) --durations 25

# the tests of numbers once more, rounded as on processors without AVX-512, and without AVX
NUMERIC := augment captions codes conditioning coupled data diagnostics domains fitness inference iterations ladder latents layers learned losses measures penalties points progressive remedies semi_supervised sequences stylegan translation weights
numeric: .venv/installed
	for isa in default:SSE41 avx2:AVX2; do \
		ATEN_CPU_CAPABILITY=$${isa%:*} ONEDNN_MAX_CPU_ISA=$${isa#*:} \
			$(BIN)/python -m pytest -n 2 $(SHARED) -k 'not processes' $(NUMERIC:%=tests/test_%.py) || exit 1; \
	done

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/installed
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev,bench]'
	for script in comparison demo engine failures findings first_fid landscape large_data remedies scale startup strategies training watch zoo; do $(BIN)/python benchmarks/$$script.py || exit 1; done

wheel: .venv/installed
	$(BIN)/uv build --quiet --wheel --python $(BIN)/python --out-dir dist

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv dist
