# make          lists the targets
# PYTHON        the interpreter that makes the virtual environment (3.11 or newer)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help demo test lint notebooks clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "dcmq needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet uv

$(VENV)/.installed: pyproject.toml | $(BIN)/uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[test,dev]'
	touch $@

demo: $(VENV)/.installed ## the paper's Table 3 on generated pictures, in about two minutes
	papermill notebooks/ablation_npc.ipynb out.ipynb -p teacher clip
	@echo
	@echo "executed notebook  out.ipynb"
	@echo "table              reports/ablation_npc/scenes-clip-64bits-demo/table.md (and .csv)"
	@echo "figure             reports/ablation_npc/scenes-clip-64bits-demo/figure.png (and .svg)"
	@echo "run records        runs/*/record.json, all of them in reports/ablation_npc/scenes-clip-64bits-demo/record.json"

test: $(VENV)/.installed ## all tests, the notebooks too
	pytest --nbval

lint: $(VENV)/.installed ## style
	ruff check .
	ruff format --check .

notebooks: $(VENV)/.installed ## execute the committed notebooks anew, at their defaults
	for notebook in notebooks/*.ipynb; do \
	  (cd notebooks && jupyter nbconvert --to notebook --execute --inplace $$(basename $$notebook)); done

clean: ## forget cached data and runs
	rm -rf cache runs out.ipynb
