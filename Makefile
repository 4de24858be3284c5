# Everything runs in .venv, which these commands create.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test lint long docs pictures lock peers clean

demo: $(READY)  ## five minutes of a simulated participant in one, from signals to estimates
	$(BIN)/physio demo

test: $(READY)  ## all tests but the long ones
	$(BIN)/pytest -q -m "not long" --ignore=tests/realtime -n 2 --dist loadfile
	$(BIN)/pytest -q -m "not long" tests/realtime

lint: $(READY)  ## style, types, who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

long: $(READY)  ## tests that take minutes: every cut of a file, soaks
	$(BIN)/pytest -q -m long

docs: $(READY)  ## the documentation as HTML in build/docs
	$(BIN)/sphinx-build -W -q --keep-going docs build/docs

pictures: $(READY)  ## the pictures of the README and of the dashboard's page, in docs/images
	$(BIN)/python docs/pictures.py

lock: $(READY)  ## requirements.lock: the core with hashes, for installs of the wheel
	$(BIN)/python .ci/lock

peers:  ## packages that benchmarks compare with, in an environment of their own
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install -q --disable-pip-version-check -r benchmarks/peers.txt

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit('physio-affect needs Python 3.11 or newer') if sys.version_info < (3, 11) else None"
	@echo "1 of 3: an environment of Python in .venv (seconds)"
	@$(PYTHON) -m venv .venv
	@echo "2 of 3: about 200 packages, 3 GB, into .venv (about five minutes)"
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@echo "3 of 3: compilation of kernels, kept beside the modules (one to two minutes)"
	@$(BIN)/physio doctor --warm
	@touch $(READY)

clean:
	rm -rf .venv .venv-peers build dist docs/generated
