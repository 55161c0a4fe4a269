# Common tasks. `make` lists the targets.
PYTHON ?= python3
LESSON := notebooks/01_mlp.ipynb
# The environment that the set-up has chosen: an active conda environment, or .venv.
ENV_PYTHON = $$($(PYTHON) tools/project.py)

.DEFAULT_GOAL := help
.PHONY: help setup setup-tests doctor lab demo test test-browser bench bench-kernel bench-page record results requirements

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{ printf "make %-14s %s\n", $$1, $$2 }'

setup: ## install everything that notebooks need
	@$(PYTHON) tools/setup_project.py

# PyTorch and what else tests and benchmarks compare with.
setup-tests:
	@$(PYTHON) tools/setup_project.py --tests

doctor: ## list what is installed, what is missing and how to fix it
	@$(PYTHON) tools/doctor.py

lab: setup ## open the lessons in JupyterLab
	@$(ENV_PYTHON) tools/lab.py

demo: setup ## run lesson 1 without a browser; results go to out/
	@$(ENV_PYTHON) tools/demo.py $(LESSON) out

test: setup-tests ## run all checks and tests
	@$(PYTHON) tools/check.py

test-browser: setup-tests ## use the lessons in a real browser; screenshots go to out/screenshots/
	@$(ENV_PYTHON) -m pytest tools/tests_browser -ra -q

bench: setup-tests ## compare the speed of training and augmentation with PyTorch (minutes)
	@$(ENV_PYTHON) tools/bench.py

bench-kernel: setup ## compare the start-up of the kernel with plain evcxr (minutes)
	@$(ENV_PYTHON) tools/bench_kernel.py

bench-page: setup-tests ## time opening a notebook in the browser, with and without a standby kernel (minutes)
	@$(ENV_PYTHON) tools/bench_page.py

record: setup ## put the outputs into a lesson's notebook: make record NB=notebooks/03_cnn.ipynb
	@$(ENV_PYTHON) tools/record.py $(NB) $(if $(HTML),--html $(HTML))

results: setup ## train lessons 1 to 3 with three seeds each (an hour on two cores)
	@$(ENV_PYTHON) tools/results.py

requirements: ## write tools/*.txt from tools/*.in, after a change of a Python package
	@$(PYTHON) tools/requirements.py
