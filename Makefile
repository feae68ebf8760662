# make help lists the targets. Everything lives in .venv, and cargo's artefacts in a cache outside the clone
# (scripts/rust_env.py says where), so a second run or a second clone reuses what the first built.
VENV ?= .venv
PY := $(VENV)/bin/python
CARGO = $(PY) scripts/rust_env.py cargo
MODELS := --manifest-path rust_ffi/models/Cargo.toml
FUZZ := --manifest-path rust_ffi/fuzz/Cargo.toml
PYTEST_ARGS ?=
BENCH_ARGS ?=
PYTHON_CODE := zarrs_c tests examples benchmarks scripts setup.py

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
RELIABILITY_MINUTES ?= 5

.PHONY: help tools build demo test test-rust test-python test-sanitizers lint lint-rust lint-python format bench \
        reliability reliability-peers fuzz fuzz-coverage fuzz-corpus memcheck asan wheel install-c clean clean-cache

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

tools:
	@sh scripts/check-tools.sh >/dev/null

$(VENV)/.made: scripts/check-tools.sh
	@python=$$(sh scripts/check-tools.sh) && echo "zarrs_c: making $(VENV) with $$python" && \
	  "$$python" -m venv $(VENV)
	@$(PY) -m pip install -q --upgrade 'pip>=25.1'
	@touch $@

# One stamp for each group of pyproject.toml that is installed.
$(VENV)/.group-%: pyproject.toml $(VENV)/.made
	@echo "zarrs_c: installing the Python packages of the group '$*'"
	@$(PY) -m pip install -q --group $*
	@touch $@

# Editable in "compat" mode: with the default mode `cimport zarrs_c` from another project would not be found.
$(VENV)/.installed: pyproject.toml setup.py MANIFEST.in $(VENV)/.group-build
	@echo "zarrs_c: building the Rust library; the first time, with all its dependencies, this takes some minutes"
	@$(CARGO) build --release --locked --lib
	@echo "zarrs_c: building the Cython modules, installing into $(VENV)"
	@PYTHONWARNINGS=ignore $(PY) scripts/rust_env.py $(PY) -m pip install -q --no-build-isolation \
	  --config-settings editable_mode=compat --editable .
	@touch $@

build: tools $(VENV)/.installed ## build the library and the Cython modules, install into .venv (editable)
	@$(PY) scripts/rust_env.py $(PY) setup.py -q build_ext --inplace

demo: build $(VENV)/.group-demo ## the main job on real data: draws the world
	@$(PY) examples/demo/prepare.py
	@$(PY) examples/demo/main.py

test: lint test-rust test-python ## all that CI runs: lint, Rust tests, Python, C and header tests

test-rust: tools $(VENV)/.group-build
	$(CARGO) test --release --locked
	$(CARGO) test --release --locked $(MODELS)

test-python: build $(VENV)/.group-test $(VENV)/.group-demo
	$(PY) -m pytest $(PYTEST_ARGS)

SECONDS ?= 120
test-sanitizers: build $(VENV)/.group-test ## C programs for minutes: random calls, address sanitizer, valgrind (SECONDS=120)
	ZARRS_C_RANDOM_SECONDS=$(SECONDS) $(PY) -m pytest tests/test_c_abi.py -k "order or sanitizer or valgrind"

lint: lint-rust lint-python ## rustfmt, clippy, ruff, mypy

lint-rust: tools $(VENV)/.group-build
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --locked --all-targets -- -D warnings
	$(CARGO) fmt $(MODELS) --check
	$(CARGO) clippy --release --locked --lib --test models $(MODELS) -- -D warnings
	$(CARGO) fmt $(FUZZ) --check

lint-python: build $(VENV)/.group-lint
	$(VENV)/bin/ruff check $(wildcard $(PYTHON_CODE))
	$(VENV)/bin/ruff format --check $(wildcard $(PYTHON_CODE))
	$(VENV)/bin/mypy
	$(PY) -m mypy.stubtest zarrs_c --ignore-disjoint-bases --allowlist scripts/stubtest-allow.txt \
	  --ignore-unused-allowlist

format: $(VENV)/.group-lint $(VENV)/.group-build ## rustfmt, ruff format
	$(CARGO) fmt --all
	$(CARGO) fmt $(MODELS)
	$(CARGO) fmt $(FUZZ)
	$(VENV)/bin/ruff check --fix $(wildcard $(PYTHON_CODE))
	$(VENV)/bin/ruff format $(wildcard $(PYTHON_CODE))

bench: build $(VENV)/.group-test $(VENV)/.group-bench ## benchmarks beside the peers, some ten minutes
	@$(PY) benchmarks/run.py $(BENCH_ARGS)

# The interpreters beside VENV's own need environments of their own first: make build PYTHON=... VENV=.venv-3.13
reliability: build $(VENV)/.group-test ## 1,000 exits and a soak, over every .venv* there is; some 15 minutes
	$(PY) tests/reliability/exits.py --count 1000 $(patsubst %,--python %,$(wildcard .venv*/bin/python))
	$(PY) tests/reliability/soak.py --minutes $(RELIABILITY_MINUTES)

reliability-peers: build $(VENV)/.group-test $(VENV)/.group-bench ## the same exits and forks with other libraries
	$(PY) tests/reliability/peers.py
	-for library in tensorstore zarr zarrista; do \
	  $(PY) tests/reliability/exits.py --count 104 --library $$library; done

fuzz: tools $(VENV)/.group-build ## the fuzzer for RELIABILITY_MINUTES a target, from a seed of its own
	ZARRS_C_FUZZ_SECONDS=$$(($(RELIABILITY_MINUTES) * 60)) ZARRS_C_FUZZ_SEED=$${ZARRS_C_FUZZ_SEED:-$$(date +%s)} \
	  $(CARGO) test --release --locked --test fuzz -- --nocapture

# By coverage. What reaches new code is kept in .cache/fuzz, what fails is written to rust_ffi/fuzz/artifacts.
FUZZ_TARGETS ?= decoders parts shards metadata planner
FUZZED = found=.cache/fuzz/$$target/found seeds=.cache/fuzz/$$target/seeds least=.cache/fuzz/$$target/least && \
	mkdir -p $$found $$seeds && export ZARRS_C_FUZZ_SEEDS=$(CURDIR)/$$seeds ASAN_OPTIONS=allocator_may_return_null=1 \
	  LSAN_OPTIONS=suppressions=$(CURDIR)/scripts/lsan-suppress.txt && \
	fuzz="$(CARGO) +nightly fuzz run --fuzz-dir rust_ffi/fuzz $$target"

fuzz-coverage: tools $(VENV)/.group-build ## the same targets under libFuzzer; needs a nightly toolchain and cargo-fuzz
	for target in $(FUZZ_TARGETS); do $(FUZZED) && $$fuzz $$found $$seeds -- -malloc_limit_mb=1000000 -timeout=30 \
	  -max_total_time=$$(($(RELIABILITY_MINUTES) * 60)) || exit 1; done

fuzz-corpus: tools $(VENV)/.group-build ## make what `make fuzz-coverage` has found the corpus that `make test` runs
	for target in $(FUZZ_TARGETS); do $(FUZZED) && rm -rf $$least && mkdir $$least && \
	  $$fuzz $$least $$found $$seeds -- -malloc_limit_mb=1000000 -set_cover_merge=1 -use_counters=0 && \
	  $(PY) scripts/fuzz_corpus.py $$target $$least || exit 1; done

memcheck: tools $(VENV)/.group-build ## the hostile chunks under valgrind, the C libraries' decoders included
	ZARRS_C_SYSTEM_ALLOCATOR=1 CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="valgrind --quiet --error-exitcode=99" \
	  $(CARGO) test --release --locked --test hostile -- --test-threads=1

asan: tools $(VENV)/.group-build ## reads, writes and hostile chunks under AddressSanitizer; needs a nightly toolchain
	ZARRS_C_SYSTEM_ALLOCATOR=1 RUSTFLAGS=-Zsanitizer=address LSAN_OPTIONS=suppressions=$(CURDIR)/scripts/lsan-suppress.txt \
	  $(CARGO) +nightly test --release --locked --target $$(rustc -vV | sed -n 's/^host: //p') \
	  --test reads --test writes --test hostile

wheel: tools $(VENV)/.group-build ## a wheel in dist/
	rm -rf build/lib* build/bdist*
	$(PY) scripts/rust_env.py $(PY) -m pip wheel -q --no-build-isolation --no-deps --wheel-dir dist .

# Where cargo puts the library: its own folder, or that of scripts/rust_env.py.
PREFIX ?= /usr/local
install-c: tools $(VENV)/.group-build ## library, header, pkg-config and CMake files under PREFIX, for C and C++ alone
	$(CARGO) build --release --locked --lib
	$(PY) scripts/rust_env.py sh -c 'sh scripts/install-c.sh "$$CARGO_TARGET_DIR/release" "$(PREFIX)"'

clean: ## remove what was built in the clone
	rm -rf $(VENV) build dist target *.egg-info zarrs_c/lib zarrs_c/include zarrs_c/*.c zarrs_c/*.so zarrs_c/*.dylib
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks .cache

clean-cache: ## remove cargo's artefacts of every clone of yours
	rm -rf "$${ZARRS_C_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/zarrs_c}"
