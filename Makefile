# Every target does its own set-up, in .venv; PYTHON chooses the interpreter it is made with.
PYTHON ?= python3
BIN = .venv/bin
INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: run test test-monaco test-vscode lint soak bench bench-daemon bench-shell bench-train bench-gpu bench-keys bench-editors benchmarks-page picture editor-pictures vsix clean

run: .venv/run
	$(BIN)/charrepl

# A file's tests share what they start. Much of what they do is wait for another process, so two cores do three files' at once.
test: .venv/test
	$(BIN)/python -m pytest -n 3 --dist loadfile

# VS Code's editor core, which npm brings, in a Chromium that is installed. 'make test' has it too once both are there.
test-monaco: .venv/test build/monaco
	$(BIN)/python -m pytest tests/charrepl_daemon/lsp/test_monaco.py

# Our extension for VS Code in Node, with the library that it is made with, which npm brings. It is skipped likewise.
test-vscode: .venv/test build/vscode-languageclient
	$(BIN)/python -m pytest tests/charrepl_daemon/lsp/test_vscode.py

NPM = npm install --silent --no-save --no-package-lock --ignore-scripts

build/vscode-languageclient: charrepl/lsp/vscode/package.json
	rm -rf $@
	$(NPM) --prefix $@ vscode-languageclient@$$(sed -n 's/.*"vscode-languageclient": "\(.*\)".*/\1/p' $<)
	touch $@

build/monaco:
	$(NPM) --prefix build/monaco monaco-editor@0.57.0
	touch $@

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

MINUTES ?= 10
soak: .venv/test
	$(BIN)/python -m tests.soak --minutes $(MINUTES)

RESULTS = --results docs/results

bench: .venv/test
	$(BIN)/python -m tests.bench.first_paint $(RESULTS)
	$(BIN)/python -m tests.bench.echo $(RESULTS)
	$(BIN)/python -m tests.bench.daemon_speed ghost --precision auto $(RESULTS)

bench-daemon: .venv/test
	$(BIN)/python -m tests.bench.daemon_speed $(RESULTS)
	$(BIN)/python -m tests.bench.recovery $(RESULTS)
	$(BIN)/python -m tests.bench.connections $(RESULTS)

bench-shell: .venv/test
	$(BIN)/python -m tests.bench.shell $(RESULTS)

bench-train: .venv/bench
	$(BIN)/python -m tests.bench.train_speed $(RESULTS)
	$(BIN)/python -m tests.bench.muon_step $(RESULTS)

# The extra cuda is hundreds of megabytes: only where there is a GPU for it.
bench-gpu: .venv/bench
	! nvidia-smi >/dev/null 2>&1 || $(INSTALL) --editable '.[test,bench,cuda]'
	$(BIN)/python -m tests.bench.gpu $(RESULTS)

CORPUS ?= shakespeare-plays.txt
bench-keys: .venv/test
	$(BIN)/python -m tests.bench.keys_saved $(CORPUS) $(RESULTS)

bench-editors: .venv/test
	$(BIN)/python -m tests.bench.editors $(CORPUS) $(RESULTS)

benchmarks-page: .venv/test
	$(BIN)/python -m tests.bench.page

picture: .venv/test
	$(BIN)/python -m tests.picture

# LLAMA_VIM is where the plugin ggml-org/llama.vim is. Vim and Chromium have to be installed.
editor-pictures: .venv/test build/monaco
	$(BIN)/python -m tests.editor_pictures $(LLAMA_VIM)

# The extension for VS Code; npm brings what it is made with.
vsix:
	rm -rf build/vscode
	mkdir -p build dist
	cp -r charrepl/lsp/vscode build/vscode
	cp LICENSE build/vscode
	cd build/vscode && $(NPM) && npm run --silent package
	mv build/vscode/charrepl.vsix dist

# A .venv made with another interpreter is made anew.
.venv/made-with-%:
	rm -rf .venv
	$(PYTHON) -c 'import sys; sys.exit("charrepl needs Python 3.11 or newer: try make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	touch $@

VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')

.venv/run: .venv/made-with-$(VERSION) pyproject.toml constraints.txt
	$(INSTALL) --editable .
	touch $@

.venv/test: .venv/made-with-$(VERSION) pyproject.toml constraints.txt
	$(INSTALL) --editable '.[test]'
	touch $@

.venv/bench: .venv/test
	$(INSTALL) --editable '.[test,bench]'
	touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build
