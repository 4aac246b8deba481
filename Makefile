# Everything one does with this project; `make help` lists it. The work is done in Python, under tools/.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format vectors bench flash update provision clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## virtual environment with pinned packages, MicroPython (done by the other targets when needed)

$(READY): pyproject.toml tools/constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "error: no $(PYTHON): install Python 3.11 or newer, or say make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "error: $(PYTHON) is older than 3.11: install a newer one, or say make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "error: Python's venv module is missing: install it (Debian: apt install python3-venv)" >&2; exit 1; }
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@PIP_CONSTRAINT=tools/constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --editable '.[keyring,simulator,flash,dev]'
	@$(BIN)/python -m tools.micropython >/dev/null
	@touch $(READY)

demo: $(READY) ## the whole chain on this machine; CONTACTS=FILE PATIENT=ID [FROM= TO= PEOPLE= CLASS= RULE=] plays a list, SCALE=60 at most 60 times as fast
	@$(BIN)/python -m tools.demo $(if $(CONTACTS),--contacts '$(CONTACTS)') $(if $(PATIENT),--patient '$(PATIENT)') \
	    $(if $(FROM),--from '$(FROM)') $(if $(TO),--to '$(TO)') $(if $(PEOPLE),--people '$(PEOPLE)') \
	    $(if $(CLASS),--class '$(CLASS)') $(if $(RULE),--rule '$(RULE)') $(if $(PASSER),--passer '$(PASSER)') \
	    $(if $(SCALE),--scale '$(SCALE)') $(if $(KEEP),--keep)

test: lint ## style, types, and all tests on both interpreters
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

lint: $(READY) ## style and types only
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(READY) ## rewrite the sources in the project's style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

vectors: $(READY) ## write tests/vectors/ anew, after a change to a format
	@for part in shared mixnet wire; do $(BIN)/python -m tests.$$part.make_vectors || exit 1; done

bench: $(READY) ## measure badge, mix, stores and servers, print tables, write build/bench.json: [ONLY=NAME]
	@$(BIN)/python -m tools.bench $(if $(ONLY),--only '$(ONLY)')

flash: $(READY) ## MicroPython and the firmware onto a badge: PORT=... [BOARD=ESP32_GENERIC_S3] [HARDWARE=name] [FIRMWARE=file.bin, else the pinned one]
	@$(BIN)/python -m tools.flash flash --port '$(PORT)' $(if $(BOARD),--board '$(BOARD)') \
	    $(if $(FIRMWARE),--firmware '$(FIRMWARE)') $(if $(HARDWARE),--hardware '$(HARDWARE)')

update: $(READY) ## only the firmware files that changed; identity and log stay: PORT=... [BOARD=...] [HARDWARE=name]
	@$(BIN)/python -m tools.flash update --port '$(PORT)' $(if $(BOARD),--board '$(BOARD)') \
	    $(if $(HARDWARE),--hardware '$(HARDWARE)')

provision: $(READY) ## make a badge yours, over USB and then Bluetooth: PORT=...
	@$(BIN)/python -m tools.flash provision --port '$(PORT)'

clean: ## remove the virtual environment and all that was built
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
