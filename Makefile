# Every target makes what it needs, from a bare Python ≥ 3.11 on.
# .venv is made anew only when requirements.lock changes.
.DEFAULT_GOAL := help
PYTHON ?= python3
N := 5
PORT := 5000
BIN := .venv/bin
# A file's tests share fixtures, and stay together; `tests/conftest.py` says which files begin.
SIDE_BY_SIDE := --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
export PATH := $(CURDIR)/$(BIN):$(PATH)
unexport VIRTUAL_ENV
# Many containers set it; every process would compile the project's code anew, which takes a second.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help repro uncommitted verify test quick replicas compare gate summary base comment smoke ui sync
.PHONY: ablation export bench growth pruning check format lock

help:  ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-11s %s\n", $$1, $$2}'

repro: $(BIN)/ready  ## the whole study: environment, MNIST, and every stage whose inputs changed
	@python -m latent_digits.commands.begin
	dvc repro
	@python -m latent_digits.commands.sync || true  # its server may be away; the results are here

uncommitted: $(BIN)/ready  ## after `make repro`: the stages whose results are still to be committed
	@python -m latent_digits.commands.uncommitted

verify: $(BIN)/ready  ## the study again, in a copy: are these the bytes of dvc.lock? (one stage: STAGE=finetune)
	@python -m latent_digits.commands.verify $(STAGE)

test: $(BIN)/ready  ## the tests, the smoke pipeline among them
	python -m pytest $(SIDE_BY_SIDE)

quick: check  ## for the daily work: the checks, and the tests that need no pipeline, workers or MLflow
	python -m pytest $(SIDE_BY_SIDE) -m "not slow"

replicas: $(BIN)/ready  ## the study's models under N further seeds: reports/replicas.json
	dvc repro --quiet prepare
	@python -m latent_digits.commands.replicas -- "$(N)"
	@python -m latent_digits.commands.sync || true  # its server may be away; the results are here

compare: $(BIN)/ready  ## this tree against BASE=main: reports/compare.html; what moved, and beyond what noise?
	@python -m latent_digits.commands.compare -- "$(BASE)"

gate: $(BIN)/ready  ## the same, and fail where a metric is worse than params.yaml allows (STRICT=1: may be)
	@python -m latent_digits.commands.compare --gate --strict "$(STRICT)" \
	  --accept-new-test-set "$(ACCEPT_NEW_TEST_SET)" $(if $(NEUTRAL),--neutral) -- "$(BASE)"

smoke: $(BIN)/ready  ## the eight stages with tiny budgets, in a scratch copy
	python tests/smoke.py

ui: $(BIN)/ready  ## MLflow on this machine, and the addresses to open (PORT=5001; 5000 by default)
	@python -m latent_digits.commands.ui $(PORT)

sync: $(BIN)/ready  ## send what MLflow has not got: its server was away, or it was made elsewhere
	python -m latent_digits.commands.sync

export: $(BIN)/ready  ## the trained networks as ONNX and as plain torch.nn: exported/
	@python -m latent_digits.commands.export

ablation: $(BIN)/ready  ## what weights, warm-up, averaging, scaling and start are worth: reports/ablation.json
	dvc repro --quiet prepare
	python -m latent_digits.commands.ablation

bench: $(BIN)/ready  ## how fast, against the usual ways: benchmarks/README.md
	uv pip install --quiet --no-deps --require-hashes --python $(BIN)/python -r benchmarks/requirements.lock
	dvc repro --quiet prepare
	python benchmarks/bench.py

growth: $(BIN)/ready  ## what grows with images, trials and workers: benchmarks/growth.md
	dvc repro --quiet prepare
	python benchmarks/growth.py

pruning: $(BIN)/ready  ## what giving up trials early saves, by this rule and Optuna's: benchmarks/pruning.md
	dvc repro --quiet prepare
	python benchmarks/pruning.py

summary: $(BIN)/ready  ## the last comparison in Markdown: in CI the job's summary, else on the terminal
	@python -m latent_digits.commands.summary

base: $(BIN)/ready  ## in GitHub Actions: the commit at which the pull request has left its base
	@python -m latent_digits.commands.base

comment: $(BIN)/ready  ## in GitHub Actions: the comparison as the pull request's one comment
	@python -m latent_digits.commands.comment

check: $(BIN)/ready  ## lint, format and types
	ruff check .
	ruff format --check .
	pyright

format: $(BIN)/ready  ## fix what lint and format can fix themselves
	ruff check --fix .
	ruff format .

lock: $(BIN)/ready  ## resolve both lock files again
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
	  --extra dev pyproject.toml --output-file requirements.lock
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-deps \
	  --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
	  benchmarks/requirements.in --output-file benchmarks/requirements.lock

# uv comes from the lock too, hashes and all; it installs the rest. Python compiles what is imported
# as it comes: a quarter of a minute less than to compile all of it here. An environment that was
# copied along with another folder is made anew: its commands are those of that folder.
ifneq ($(shell cat $(BIN)/ready 2>/dev/null),$(CURDIR))
.PHONY: $(BIN)/ready
endif
$(BIN)/ready: requirements.lock src/latent_digits_start.py
	@test "$$(uname)" = Linux || { echo "latent-digits runs on Linux only, and this is $$(uname); use a machine, a virtual machine or a container with Linux." >&2; exit 1; }
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed; this is " + sys.version)'
	test "$$(cat $@ 2>/dev/null)" = "$(CURDIR)" || rm -rf .venv
	$(PYTHON) -m venv .venv
	sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.lock
	$(BIN)/uv pip sync --quiet --require-hashes --python $(BIN)/python requirements.lock
	cp src/latent_digits_start.py .venv/lib/python3*/site-packages/
	echo "import latent_digits_start" > "$$(echo .venv/lib/python3*/site-packages)/latent_digits.pth"
	echo "$(CURDIR)" > $@
