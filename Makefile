# make                    lists the targets
# make PYTHON=python3.12  names the interpreter that makes the virtual environment (3.11 or newer)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Before every command that a reader would type himself, so that it means the environment's own.
IN_VENV := PATH="$(CURDIR)/$(BIN):$$PATH"
UV_INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --editable
# The environment's python3 kernel, also where the user has one of that name at home.
export JUPYTER_PREFER_ENV_PATH := 1

.DEFAULT_GOAL := help
.PHONY: help demo lab test test-fast lint notebooks reports benchmarks clean distclean

help: ## list the targets
	@sed -n -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

$(BIN)/uv:
	@command -v $(PYTHON) >/dev/null || { echo "dcmq needs Python 3.11 or newer, and there is no '$(PYTHON)': install it, or name one with make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "dcmq needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) -V 2>&1): name a newer one with make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "'$(PYTHON)' cannot make virtual environments: on Debian and Ubuntu, apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

# A stamp per set of requirements: nothing is installed again until pyproject.toml changes.
$(VENV)/.installed: pyproject.toml | $(BIN)/uv
	@echo "installing into $(VENV) (the first time: some minutes and several GB)"
	$(UV_INSTALL) '.[faiss]'
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(UV_INSTALL) '.[blip,cluster,faiss,lance,onnx,serve,umap,test]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-test
	$(UV_INSTALL) '.[blip,cluster,faiss,lance,onnx,serve,umap,test,dev]'
	@touch $@

demo: $(VENV)/.installed ## the paper's Table 3 on generated images, in a few minutes
	$(IN_VENV) papermill notebooks/ablation_npc.ipynb out.ipynb -p teacher clip
	@echo && echo "executed notebook  out.ipynb"
	@$(IN_VENV) dcmq reports where ablation_npc

# Notebooks are saved without widgets, which need a kernel to be seen: opened again they show images until a cell runs.
lab: $(VENV)/.installed ## JupyterLab in the browser, at the quickstart
	$(IN_VENV) jupyter lab --ContentsManager.pre_save_hook=dcmq.reporting.clean_notebooks.clean_on_save notebooks/quickstart.ipynb

# pytest's own settings stand in pyproject.toml: two processes of one thread each, and the longest 15 tests at the end.
test: $(VENV)/.installed-test ## all tests, the notebooks among them (three quarters of an hour)
	$(IN_VENV) pytest --nbval

test-fast: $(VENV)/.installed-test ## what neither trains nor runs a notebook (a minute and a half)
	$(IN_VENV) pytest -m "not slow" tests

# A run whose record is committed is not trained again while its settings, data, teacher and code are the same; with FRESH=1 it is.
# PROFILE=paper DATASET=coco DATA_ROOT=DIR ... are passed to the notebooks; NOTEBOOKS="a b" runs only those, JOBS=2 two at a time.
REPORT_OPTIONS = $(if $(PROFILE),--profile $(PROFILE)) $(if $(DATASET),--dataset $(DATASET)) \
  $(if $(DATA_ROOT),--data-root "$(DATA_ROOT)") $(if $(DATA_OPTIONS),--data-options "$(DATA_OPTIONS)") \
  $(if $(TEACHER),--teacher "$(TEACHER)") $(if $(SEEDS),--seeds $(SEEDS)) $(if $(EPOCHS),--epochs $(EPOCHS)) \
  $(if $(JOBS),--jobs $(JOBS)) $(if $(SETTINGS),--settings "$(SETTINGS)")

reports: $(VENV)/.installed ## every notebook, and reports/README.md over them all
	$(IN_VENV) $(if $(FRESH),,DCMQ_PUBLISHED="$(CURDIR)/reports") dcmq reports run $(REPORT_OPTIONS) $(NOTEBOOKS)

# NAMES="evaluation training" runs only those; QUICK=1 only sees whether they run.
benchmarks: $(VENV)/.installed-test ## speed against peers, into reports/benchmarks
	$(IN_VENV) python -m benchmarks $(if $(QUICK),--quick) $(NAMES)

lint: $(VENV)/.installed-dev ## style of the code and of the notebooks
	$(BIN)/ruff check .
	$(BIN)/pytest --quiet tests/test_notebook_files.py

notebooks: $(VENV)/.installed ## execute the committed notebooks anew, at their defaults
	$(IN_VENV) jupyter nbconvert --to notebook --execute --inplace notebooks/*.ipynb
	$(BIN)/python scripts/clean_notebooks.py notebooks/*.ipynb

clean: ## forget cached data, runs and leftovers; reports stay
	rm -rf cache runs out.ipynb build dist .pytest_cache .ruff_cache
	find dcmq tests scripts notebooks benchmarks -name __pycache__ -o -name .ipynb_checkpoints | xargs rm -rf

distclean: clean ## forget the virtual environment too
	rm -rf $(VENV)
