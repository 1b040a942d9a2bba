# Two commands do everything: `make demo` and `make test`. Both set up what they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: setup demo test test-vllm test-live coverage check fix bench lock lock-vllm clean

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ask-expert needs Python 3.11 or newer")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
	$(BIN)/ask-expert demo $(ARGS)

test: setup
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile $(ARGS)

# Against a real vLLM in an environment of its own in the cache folder; where that
# cannot be had it says SKIPPED and why.
test-vllm: setup
	$(BIN)/python -m tests.real_servers.vllm_server $(ARGS)

# One short question to each configured provider, for at most ten US cents in all.
test-live: setup
	$(BIN)/python -m tests.real_servers.live

coverage: setup
	$(BIN)/coverage erase
	-$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

fix: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python -m benchmarks.start_up --write
	$(BIN)/python -m benchmarks.chaos --write
	$(BIN)/python -m benchmarks.patience --write
	$(BIN)/python -m benchmarks.overspend --write
	$(BIN)/python -m benchmarks.hot_rows --write
	$(BIN)/python -m benchmarks.ledger_scale --write

lock:
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --extra bedrock --extra calibrate --extra demo --extra keyring --extra postgres --extra vertex --group dev --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command 'make lock' --output-file requirements.lock pyproject.toml

VLLM := tests/real_servers/vllm

lock-vllm:
	$(BIN)/uv pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
	  --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command 'make lock-vllm' --override $(VLLM)/overrides.txt \
	  --output-file $(VLLM)/requirements.lock $(VLLM)/requirements.in

clean:
	rm -rf $(VENV) .coverage .pytest_cache .ruff_cache .hypothesis
