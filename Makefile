# Everything one does with this project; `make help` lists it. The work is done in Python, under tools/.

PYTHON ?= python3
override VENV  := .venv
override BIN   := $(VENV)/bin
override READY := $(VENV)/.ready

# What a user may give. None of it is expanded by make or read by a shell: $(value) is the text as it was given, and it
# reaches the tools through the environment (tools/make.py). Make would expand what stands on its command line, known
# here or not, to export it, so that is not exported.
override VARIABLES := PYTHON CONTACTS PATIENT FROM TO STEP PEOPLE CLASS RULE PASSER SCALE KEEP ONLY \
    PORT PORT2 BOARD HARDWARE FIRMWARE UPGRADE BADGES NETWORK MODULE
$(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(eval unexport $(name))))
$(foreach name,$(VARIABLES),$(eval export ANONTRACE_MAKE_$(name) := $$(value $(name))))

# What is compiled is kept, whatever the shell says: each of the hundreds of processes that the demonstration and the tests
# start would compile the whole program anew.
override export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup named pins demo portal replay simulate badge test lint format vectors bench mutants soak man flash update chipcheck provision clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## virtual environment with pinned packages, MicroPython: [PYTHON=...] (done by the other targets when needed)

$(READY): pyproject.toml tools/constraints.txt
	@test "$$("$$ANONTRACE_MAKE_PYTHON" -c 'import sys; print("new enough" * (sys.version_info >= (3, 11)))' 2>/dev/null \
	    </dev/null)" = 'new enough' || { printf \
	    'error: %s is no Python 3.11 or newer: install one, or say make PYTHON=...\n' "$$ANONTRACE_MAKE_PYTHON" >&2; exit 1; }
	@"$$ANONTRACE_MAKE_PYTHON" tools/set_up.py

# Who names a Python gets it, also when there is an environment already.
ifneq ($(filter command environment,$(origin PYTHON)),)
$(READY): named
endif
named:

pins: $(READY) ## write tools/constraints.txt anew after a change to pyproject.toml: [UPGRADE=package, or all]
	@$(BIN)/python -m tools.make pins

demo: $(READY) ## the whole chain on this machine; CONTACTS=FILE PATIENT=ID [FROM= TO= STEP= PEOPLE= CLASS= RULE=] plays a list, SCALE=60 at most 60 times as fast
	@$(BIN)/python -m tools.make demo

portal: $(READY) ## the demonstration's network with cases in it, and its portal for your browser, until Ctrl-C
	@$(BIN)/python -m tools.demo --portal

replay: $(READY) ## a whole contact list without radio and HTTP, each person the patient in turn: CONTACTS=FILE [PATIENT=ID FROM= TO= STEP= RULE=]
	@$(BIN)/python -m tools.make replay

simulate: $(READY) ## epidemics, and what telling people does to them: five minutes; CSV and plots in build/epidemic: [CONTACTS=FILE]
	@$(BIN)/python -m tools.make simulate

badge: $(READY) ## a simulated badge in this terminal, and what to type in another one: [BADGES=2] [NETWORK=network.toml]
	@$(BIN)/python -m tools.make badge

test: lint ## style, types, and all tests on both interpreters
	@$(BIN)/python -m pytest -n auto

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
	@$(BIN)/python -m tools.make bench

mutants: $(READY) ## change a module line by line; its tests have to notice: minutes a module, hours in all; goes on where it was interrupted: [MODULE=FILE, or mixnet, wire, nymserver, addresses, exposures, shared]
	@$(BIN)/python -m tools.make mutants

soak: $(READY) ## two months of a server's life in some minutes: fails unless it stays flat; writes build/soak.json
	@$(BIN)/python -m tools.soak

man: $(READY) ## write the man pages of the programs, build/man/*.1, from their own help
	@$(BIN)/python -m tools.manpages build/man

flash: $(READY) ## MicroPython and the firmware onto a badge: PORT=... [BOARD=ESP32_GENERIC_S3] [HARDWARE=name] [FIRMWARE=file.bin, else the pinned one]
	@$(BIN)/python -m tools.make flash

update: $(READY) ## only the firmware files that changed; identity and log stay: PORT=... [BOARD=...] [HARDWARE=name]
	@$(BIN)/python -m tools.make update

chipcheck: $(READY) ## what only a chip can tell, measured on two boards in ten minutes: PORT=... PORT2=... [ONLY=NAME]
	@$(BIN)/python -m tools.make chipcheck

provision: $(READY) ## make a badge yours, over USB and then Bluetooth: PORT=...
	@$(BIN)/python -m tools.make provision

clean: ## remove the virtual environment and all that was built
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
