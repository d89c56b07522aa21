# One command for everything a contributor does. Each target sets up what it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCKS := requirements

.PHONY: demo test check docs app app-test node fuzz fuzz-guided sbom browser orthanc mediapipe format lock clean

demo: $(VENV)/.demo  ## judge real radiographs and show where the model looked
	$(BIN)/pneumoscope demo --out demo

test: check browser orthanc mediapipe app-test  ## every test
	$(BIN)/python -m pytest

app: app/node_modules/.done  ## the page on the device, built into the package; needs Node.js 20.19 or newer
	cd app && npm run --silent check && npx vite build --logLevel warn

app-test: app browser $(VENV)/.dev  ## the engine in Node against Python's golden files, the page in Chromium
	$(BIN)/python tools/page_tables.py --check
	$(BIN)/python tools/sample_chest.py app/dist/chest.png
	cd app && npm test --silent
	cd app && npm run --silent test:browser

app/node_modules/.done: app/package-lock.json | node
	cd app && npm ci --silent --no-audit --no-fund
	touch $@

node:  ## Node.js, from Debian where root allows
	@command -v node >/dev/null && command -v npm >/dev/null || \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends nodejs npm >/dev/null; \
	  else \
	    echo "node and npm are missing: the page on the device is built with them" >&2; exit 1; \
	  fi
	@node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' || \
	  { echo "Node.js $$(node --version) is too old for the page on the device: 20.19 or newer is needed (Debian 13 has it)" >&2; exit 1; }

check: $(VENV)/.dev docs  ## formatter, linter, types, import layers, documents
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.dev  ## the site in docs/_build, every warning an error; figures and notebook as their sources say
	$(BIN)/python tools/figures.py --check
	$(BIN)/python tools/robustness.py --check
	$(BIN)/python tools/model_card.py --check
	$(BIN)/python tools/notebook.py --check
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build

browser:  ## the browsers that the pages' tests drive, where root allows
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install chromium chromium-driver >/dev/null; \
	  else \
	    echo "chromium and chromedriver are missing: the page's tests need them" >&2; \
	  fi

orthanc:  ## the archive that the gateway's tests deliver to, where root allows; policy-rc.d keeps its service from starting
	@command -v Orthanc >/dev/null && command -v storescu >/dev/null && \
	  test -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so -a -e /usr/share/orthanc/plugins/libOrthancGdcm.so || \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    ours=; test -e /usr/sbin/policy-rc.d || { ours=1; printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d; }; \
	    apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends \
	      orthanc orthanc-dicomweb orthanc-gdcm dcmtk >/dev/null; code=$$?; \
	    test -z "$$ours" || rm -f /usr/sbin/policy-rc.d; exit $$code; \
	  else \
	    echo "Orthanc and dcmtk are missing: the tests that deliver to a real archive do not run" >&2; \
	  fi

mediapipe: .venv-mediapipe/.done  ## MediaPipe Tasks in an environment of its own: its NumPy is older (Python up to 3.12)

.venv-mediapipe/.done: $(LOCKS)/mediapipe.txt | $(BIN)/python
	$(PIP) uv
	if $(BIN)/uv python find --quiet --no-python-downloads ">=3.11,<3.13" >/dev/null; then \
	  $(BIN)/uv venv --quiet --clear --no-python-downloads --python ">=3.11,<3.13" .venv-mediapipe && \
	  $(BIN)/uv pip install --quiet --no-deps --python .venv-mediapipe/bin/python -r $(LOCKS)/mediapipe.txt && touch $@; \
	else \
	  echo "no Python 3.11 or 3.12 here: MediaPipe 0.10.21 has no build for this one, its test does not run" >&2; \
	fi

format: $(VENV)/.dev  ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: | $(BIN)/python  ## resolve the locked dependencies anew
	$(PIP) uv
	$(BIN)/uv pip compile --quiet --universal --no-emit-index-url --no-annotate --generate-hashes --extra demo pyproject.toml -o $(LOCKS)/demo.txt
	$(BIN)/uv pip compile --quiet --universal --no-emit-index-url --no-annotate --generate-hashes --group dev --extra demo --extra train --extra web --extra ui --extra pacs --extra archive pyproject.toml -o $(LOCKS)/dev.txt
	$(BIN)/uv pip compile --quiet --universal --no-emit-index-url --no-annotate --generate-hashes --extra web pyproject.toml -o $(LOCKS)/web.txt

fuzz: $(VENV)/.dev  ## 10,000 mutated images, DICOM files and models; docs/robustness.md says what became of them
	$(BIN)/python tools/fuzz.py --count 10000 --out reports/robustness.json
	$(BIN)/python tools/robustness.py

fuzz-guided: $(VENV)/.dev  ## coverage-guided: atheris on the readers for ten minutes (Linux)
	$(PIP) atheris
	mkdir -p fuzz/corpus
	$(BIN)/python tools/fuzz_readers.py -max_total_time=600 -max_len=65536 fuzz/corpus

sbom: $(VENV)/.dev  ## software bill of materials of the container's packages, CycloneDX JSON, in dist/
	$(PIP) cyclonedx-bom
	mkdir -p dist
	$(BIN)/cyclonedx-py requirements $(LOCKS)/web.txt --pyproject pyproject.toml --output-reproducible -o dist/sbom.cdx.json

clean:
	rm -rf $(VENV) .venv-mediapipe app/node_modules demo dist .mypy_cache .ruff_cache .pytest_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip

$(VENV)/.demo: $(LOCKS)/demo.txt | $(BIN)/python
	$(PIP) -r $(LOCKS)/demo.txt
	$(PIP) --no-deps --editable .
	touch $@

$(VENV)/.dev: $(LOCKS)/dev.txt | $(BIN)/python
	$(PIP) -r $(LOCKS)/dev.txt
	$(PIP) --no-deps --editable .
	touch $@ $(VENV)/.demo
