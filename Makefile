# Common tasks. `make` lists the targets.
PYTHON ?= python3
LESSON := notebooks/01_mlp.ipynb
# The environment that the set-up has chosen: an active conda environment, or .venv.
ENV_PYTHON = $$($(PYTHON) tools/project.py)

.DEFAULT_GOAL := help
.PHONY: help setup setup-tests doctor lab demo test test-browser bench bench-fast bench-kernel bench-page record report install hub \
	hub-install image results torture audit requirements \
	assignments check-assignments grade grade-corpus formgrader feedback test-classroom

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{ printf "make %-17s %s\n", $$1, $$2 }'

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

bench: setup-tests ## train each lesson beside PyTorch and compare the speed (minutes); ROWS="mlp cnn" for some
	@$(ENV_PYTHON) tools/bench.py $(ROWS)

bench-fast: setup-tests ## train lesson 6's recipe with thirty seeds, and PyTorch beside it (minutes)
	@$(ENV_PYTHON) tools/bench_fast.py

bench-kernel: setup ## compare the start-up of the kernel with plain evcxr (minutes)
	@$(ENV_PYTHON) tools/bench_kernel.py

bench-page: setup-tests ## time opening a notebook in the browser, with and without a standby kernel (minutes)
	@$(ENV_PYTHON) tools/bench_page.py

record: setup ## put the outputs into a lesson's notebook: make record NB=notebooks/03_cnn.ipynb
	@$(ENV_PYTHON) tools/record.py $(NB) $(if $(HTML),--html $(HTML))

report: ## write a notebook as PDF and HTML: make report NB=notebooks/03_cnn.ipynb NAME="Ann Lee" CODE=0
	@$(PYTHON) tools/report.py "$(NB)"

install: ## install for all users of this machine: sudo make install PREFIX=/opt/mnist_kit
	@$(PYTHON) tools/install.py "$(PREFIX)"

hub-install:
	@$(PYTHON) tools/hub.py --install

hub: ## start JupyterHub for a class, in an installation
	@$(PYTHON) tools/hub.py

image: ## build the Dockerfile's image and run lesson 1 in it; LOCAL=1 without Docker's registry
	@$(PYTHON) tools/image.py $(if $(LOCAL),--local)

results: setup ## train lessons 1 to 3 with three seeds each (an hour on two cores)
	@$(ENV_PYTHON) tools/results.py

torture: setup ## try to break everything (hours); CASES=0.01 for a hundredth, PARTS="idx pth" for some
	@$(ENV_PYTHON) tools/torture.py --cases $(or $(CASES),1) $(PARTS)

audit: setup ## check licenses, sources and known vulnerabilities of what is used
	@$(ENV_PYTHON) tools/audit.py $(if $(WRITE),--write)

requirements: ## write tools/*.txt from tools/*.in, after a change of a Python package
	@$(PYTHON) tools/requirements.py

assignments: setup ## write the student versions of the assignments into out/release/
	@$(PYTHON) tools/assignments.py

check-assignments: setup ## prove that stubs fail and solutions pass (minutes)
	@$(PYTHON) tools/check_assignments.py

grade: setup ## grade notebooks/assignments/submitted/ in a sandbox; results go to out/grading/
	@$(PYTHON) tools/grade.py

formgrader: setup ## open the written answers in nbgrader's formgrader
	@$(PYTHON) tools/formgrader.py

feedback: setup ## write scores and feedback again, with the points given in the formgrader
	@$(PYTHON) tools/grade.py --pages

grade-corpus: setup ## grade submissions with known scores (an hour on two cores)
	@$(PYTHON) tools/grade_corpus.py $(if $(SLICE),--slice)

test-classroom: setup-tests ## check the assignments, grade a part of the corpus, follow docs/TEACHING.md
	@$(PYTHON) tools/check_assignments.py
	@$(PYTHON) tools/grade_corpus.py --slice
	@$(ENV_PYTHON) -m pytest tools/tests_classroom -ra -q
