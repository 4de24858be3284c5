# Everything runs in .venv, which these commands make by themselves.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test lint long docs peers clean

demo: $(READY)  ## a simulated person for a minute, through the whole product
	$(BIN)/physio demo

test: $(READY)  ## all tests but the long ones
	$(BIN)/pytest -q -m "not long" --ignore=tests/realtime -n 2 --dist loadfile
	$(BIN)/pytest -q -m "not long" tests/realtime

lint: $(READY)  ## style, types, who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

long: $(READY)  ## what takes minutes: every cut of a file, soaks
	$(BIN)/pytest -q -m long

docs: $(READY)  ## these pages and the reference, as HTML in build/docs
	$(BIN)/sphinx-build -W -q --keep-going docs build/docs

peers:  ## what benches compare with, in an environment of its own: old pins
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install -q --disable-pip-version-check -r benchmarks/peers.txt

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit('physio-affect needs Python 3.11 or newer') if sys.version_info < (3, 11) else None"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@# Compiled kernels are kept beside the modules: the first session need not wait.
	$(BIN)/physio demo --seconds 5 --fast --out .venv/first >/dev/null && rm -rf .venv/first
	touch $(READY)

clean:
	rm -rf .venv .venv-peers build dist docs/generated
