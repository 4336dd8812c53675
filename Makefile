# Two commands for a newcomer: `make demo` and `make test`. Thin: CMake presets do the work.
.PHONY: help demo test setup build install packages packages-test format tidy reference report conformance clients batch-test cluster-test pjrt-test clean
.DEFAULT_GOAL := help

help:  ## show this
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*##/\t/' | expand -t 12

demo: build  ## install, build, start the server on the built-in model, rerank a real request
	@tools/demo.sh build/release/rerankd

test: setup  ## install, build and run all tests
	@cmake --preset release
	@cmake --build --preset release
	@ctest --preset release --progress

setup:  ## install the Debian packages that are missing (sudo when not root)
	@tools/setup.sh

build: setup  ## build release: build/release/rerankd and librerank.so
	@cmake --preset release
	@cmake --build --preset release --target rerankd rerank_c

PREFIX ?= /usr/local

install:  ## after `make build`: program, library, headers, model, manual pages and completions into PREFIX (/usr/local), below DESTDIR
	@test -x build/release/rerankd || { echo "first: make build" >&2; exit 1; }
	@DESTDIR="$(DESTDIR)" cmake --install build/release --prefix "$(PREFIX)" --strip
	@test -n "$(DESTDIR)" || ldconfig 2> /dev/null || true

packages: setup  ## make wheel, .deb, .rpm and OCI image in build/packages (.venv-packages)
	@packaging/make.sh

packages-test: packages  ## install each package where nothing else is, and use it (root; debootstrap, rpm2cpio, cpio)
	@packaging/test.py build/packages
	@tests/packages/least_test.sh

format:  ## write the whole tree as clang-format 14 does; a test compares
	@tests/architecture/format_test.py --write

tidy:  ## run clang-tidy 14 over src/ with the checks of .clang-tidy
	@tools/tidy.sh

reference:  ## record the reference logits anew, with PyTorch and transformers (.venv-train)
	@test -d .venv-train || python3 -m venv .venv-train
	@.venv-train/bin/pip install -q -r requirements/train.txt
	@.venv-train/bin/python tools/goldens/make_model_goldens.py tests/data/models
	@.venv-train/bin/python tools/goldens/make_decoder_goldens.py tests/data/decoders
	@.venv-train/bin/python tools/goldens/make_list_goldens.py tests/data/listwise
	@.venv-train/bin/python tools/goldens/make_gguf_goldens.py tests/data/gguf
	@.venv-train/bin/python tools/goldens/make_torch_files.py tests/data/torch
	@.venv-train/bin/python tools/goldens/tokenizers/make_built.py tests/data/tokenizers/built
	@.venv-train/bin/python tools/goldens/make_prompt_goldens.py tests/data/decoders
	@.venv-train/bin/python tools/goldens/make_chat_goldens.py tests/data/decoders tests/data/chat
	@.venv-train/bin/pip install -q onnx==1.23.2 onnxscript
	@.venv-train/bin/python tools/goldens/make_graph_fixtures.py tests/data/models tests/data/graphs

# A judged collection in BEIR's form (corpus.jsonl, queries.jsonl, qrels); RERANKD_DATA names a folder that holds some.
COLLECTION ?= $(RERANKD_DATA)/qa/covidqa

report: build  ## measure the staged story, PyTorch to rerankd, into docs/performance.md (COLLECTION=folder; .venv-peers; 20 minutes)
	@test -e .venv-peers || { python3 -m venv .venv-peers && .venv-peers/bin/pip install -q -r requirements/peers.txt; }
	@.venv-peers/bin/python bench/report/report.py accuracy --collection $(COLLECTION)
	@.venv-peers/bin/python bench/report/report.py speed --collection $(COLLECTION)
	@.venv-peers/bin/python bench/report/report.py write

conformance:  ## drive the server with grpcio and schemathesis from PyPI (.venv-grpc, .venv-openapi); >20,000 requests
	@test -d .venv-grpc || python3 -m venv .venv-grpc
	@.venv-grpc/bin/pip install -q -r requirements/grpc.txt
	@.venv-grpc/bin/python tests/grpc/conformance.py
	@tests/openapi/run.sh

clients: build  ## drive the real clients from PyPI, the examples and the page (.venv-clients, -cohere5, -stores, -airflow; 2 GB)
	@for set in clients clients-cohere5 clients-stores clients-airflow; do test -e .venv-$$set/bin/pip || python3 -m venv .venv-$$set; \
	  .venv-$$set/bin/pip install -q --prefer-binary -r requirements/$$set.txt || exit 1; done
	@tests/clients/real_clients.py
	@tests/clients/examples_test.py
	@.venv-clients/bin/python tests/python/types_test.py
	@tests/page/page_test.py || test $$? = 77

cluster-test: build  ## kill, cut off and replace replicas behind HAProxy, nginx and Envoy; OLD=program: what upgrades start from (root; .venv-cluster; six minutes)
	@test -e .venv-cluster/bin/pip || { python3 -m venv .venv-cluster && .venv-cluster/bin/pip install -q -r requirements/cluster.txt; }
	@tests/cluster/shared_cache_test.py $(if $(OLD),--old $(OLD))
	@tests/cluster/cluster_test.py $(if $(OLD),--old $(OLD))

batch-test: build  ## drive Arrow, DuckDB, Ray and Spark with killed workers (.venv-batch, 1.5 GB, Java 17; three minutes)
	@test -e .venv-batch/bin/ray || { python3 -m venv .venv-batch && .venv-batch/bin/pip install -q -r requirements/batch.txt; }
	@.venv-batch/bin/python tests/batch/batch_test.py

pjrt-test:  ## fetch XLA's plugins for CPUs and libtpu (265 MB), and run the tests that want them (ten minutes)
	@tools/pjrt.sh --tpu
	@cmake --preset release
	@cmake --build --preset release --target pjrt_test engine_test conformance_test rerankd
	@ctest --preset release -R 'pjrt|engine_test'

clean:  ## remove all builds
	rm -rf build
