# Two commands do everything on a fresh machine: `make parity` (the main job) and `make test`.
PY := .venv/bin/python
PAIR := logs/parity/pair

.PHONY: parity parity-full mutants breed floors bench docs fuzz hostile ports test lint format setup clean

parity: setup
	$(PY) -m pytest parity/
	rm -rf $(PAIR)
	$(PY) -m scripts.train_pair --preset scenes_frcnn --set optimiser.epochs=3 --out $(PAIR)
	@echo
	@echo "report: logs/parity/report.html (and report.json)"
	@echo "charts: $(PAIR)/curves.png, $(PAIR)/curves.svg, $(PAIR)/steps.png"

parity-full: setup
	$(PY) -m pytest parity/ -m ""

mutants: setup
	$(PY) -m parity.suite.mutants --docs

breed: setup
	nice $(PY) -m parity.suite.breeding --resume --docs

floors: setup
	$(PY) -m parity.suite.measure_floors

bench: setup
	$(PY) -m scripts.bench
	$(PY) -m scripts.bench_weights
	$(PY) -m scripts.bench_kernels

docs: setup
	PIP_FIND_LINKS= $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(PY) -m scripts.readme --check
	$(PY) -m scripts.reference --check
	$(PY) -m mkdocs build --strict
	@echo "site: build/site/index.html"

fuzz: setup
	PIP_FIND_LINKS= $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[fuzz]'
	$(PY) -m tests.fuzz_readers -max_total_time=600

hostile: setup
	$(PY) -m pytest tests/hostile -m ""

ports: setup
	$(PY) -m examples.ports

# a test that hangs is told after ten minutes; after a crash of pytest itself xdist would wait for ever
UNIT = -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0 --timeout 600

test: setup lint
	@$(PY) -m pytest tests/ $(UNIT); tests=$$?; \
	$(PY) -m pytest parity/; parity=$$?; exit $$((tests ? tests : parity))

lint: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	.venv/bin/lint-imports

format: setup
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

setup:
	@scripts/setup

clean:
	rm -rf .venv logs/data logs/parity
