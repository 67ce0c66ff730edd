PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS ?= $(basename $(notdir $(wildcard bench/peers/*.txt)))
GENERATED := agora/v1
WIRES := env_server/gateways/dm_env_rpc/wire agent_services/policies/remote/oip

.DEFAULT_GOAL := help
.PHONY: help install run test lint format bench paper peers tools protos hooks clean

help:  ## what there is to make
	@sed -n 's/^\([a-z]*\):.*##  *\(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 10

install: $(STAMP)  ## make .venv with everything pinned

# torch goes first and by name, so that an index of CPU wheels can be given through pip's own configuration.
# scml-agents goes without its dependencies: it asks for tensorflow and old versions that no agent used here needs.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"Python: expected >= 3.11, got {v[0]}.{v[1]}; make PYTHON=/path/to/python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,scml,pettingzoo,openenv]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps scml-agents
	touch $(STAMP)

run: $(STAMP)  ## the price war of four Melbourne charging stations, as services
	$(BIN)/agora run examples/melbourne.yaml

test: $(STAMP)  ## all tests, real processes and sockets included
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

lint: $(STAMP)  ## style, types, architecture, contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
	@if git rev-parse --verify --quiet main:protos >/dev/null; then \
		$(BIN)/buf breaking --against '.git#branch=main'; \
	else echo "buf breaking: skipped, no contract on main yet"; fi
	@$(MAKE) --no-print-directory protos
	git diff --exit-code -- $(GENERATED) $(WIRES:%=%_pb2.py) $(WIRES:%=%_pb2.pyi)

format: $(STAMP)  ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)  ## list the measurements; python -m bench NAME runs one
	$(BIN)/python -m bench

paper: $(STAMP)  ## the experiments on particle games, with their tables in docs/results.md; goes on where it was stopped
	$(BIN)/python -m experiments paper

peers: $(PEERS:%=.peers/%/.installed)  ## others' software in .peers/NAME, for tests and measurements; PEERS="openenv" builds that one

# Frozen lists are whole, so that what a peer asks for but does not import need not be installed.
.peers/%/.installed: bench/peers/%.txt
	@echo "peers: building .peers/$*"
	rm -rf .peers/$*
	$(PYTHON) -m venv .peers/$*
	.peers/$*/bin/python -m pip install --quiet --no-deps --requirement $<
	touch $@

protos: $(STAMP)  ## generate the stubs from protos/
	$(BIN)/python -m grpc_tools.protoc -I protos --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy \
		--plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
		--python_out=. --grpc_python_out=. --mypy_out=quiet:. --mypy_grpc_out=quiet:. protos/agora/v1/*.proto
	@touch $(GENERATED)/__init__.py
	$(BIN)/python -m grpc_tools.protoc -I . --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy \
		--python_out=. --mypy_out=quiet:. $(WIRES:%=%.proto)

tools: .peers/mlserver/.installed .peers/openenv/.installed  ## all that tests are skipped for: others' software, a browser, Node
	@missing=; command -v chromium >/dev/null || missing="chromium"; \
	command -v npm >/dev/null || missing="$$missing nodejs npm"; \
	command -v curl >/dev/null || missing="$$missing curl"; \
	test -z "$$missing" || { command -v apt-get >/dev/null || { echo "install $$missing, which apt-get would bring"; exit 1; }; \
	sudo=; test "$$(id -u)" = 0 || sudo=sudo; \
	$$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y $$missing >/dev/null; }

hooks: $(STAMP)  ## check every commit before it is made
	$(BIN)/pre-commit install

clean:  ## remove .venv, .peers and caches; runs/ stays
	rm -rf $(VENV) .peers .mypy_cache .ruff_cache .pytest_cache
