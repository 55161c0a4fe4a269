# What is run by hand. `make` alone lists the targets.
PYTHON ?= python3
LESSON := notebooks/01_mlp.ipynb
# The environment that the set-up chose: an activated conda environment, or .venv.
ENV_PYTHON = $$($(PYTHON) tools/project.py python)

.DEFAULT_GOAL := help
.PHONY: help setup doctor lab demo test bench bench-kernel results

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{ printf "make %-14s %s\n", $$1, $$2 }'

setup: ## install and build everything that is missing
	@$(PYTHON) tools/setup_project.py

doctor: ## say what is installed, what is missing and what to do
	@$(PYTHON) tools/doctor.py

lab: setup ## open JupyterLab on the notebooks
	@$(ENV_PYTHON) -m jupyterlab --ServerApp.root_dir=notebooks $(if $(filter 0,$(shell id -u)),--allow-root)

demo: setup ## run lesson 1 from first to last cell, results in out/
	@$(ENV_PYTHON) tools/demo.py $(LESSON) out

test: setup ## run every check and test
	@$(PYTHON) tools/check.py

bench: setup ## training steps and augmentation beside PyTorch (minutes)
	@$(ENV_PYTHON) tools/bench.py

results: setup ## train lessons 1 to 3 with three seeds each (an hour on two cores)
	@$(ENV_PYTHON) tools/results.py

bench-kernel: setup ## time a plain kernel against this one (minutes)
	@$(ENV_PYTHON) tools/bench_kernel.py
