# A thin face over CMake (CMakeLists.txt, CMakePresets.json). `make help` lists what there is.

PREFIX  ?= /usr/local
DESTDIR ?=
JOBS    ?= $(shell nproc)
ARGS    ?=

.DEFAULT_GOAL := build
.PHONY: help run build test bench bench-rivals install clean format deps

help:
	@echo 'make run       install what is missing, build, and serve (ARGS="..." goes to weft serve)'
	@echo 'make build     install what is missing, build build/weft and build/libweft.a'
	@echo 'make test      build and run every test: gcc, then ASan and UBSan, then clang, then fuzzers'
	@echo 'make bench     build and run the bench programs'
	@echo 'make bench-rivals  weft beside other servers, 25 minutes at most (ARGS=--quick: 4)'
	@echo 'make install   install to $$(DESTDIR)$$(PREFIX), by default /usr/local'
	@echo 'make format    clang-format on every C file'
	@echo 'make clean     remove every build directory'

deps:
	@tools/deps.sh build

build: deps
	@test -f build/build.ninja || cmake --preset release
	@cmake --build build --parallel $(JOBS)

run: build
	./build/weft serve $(ARGS)

test:
	@tools/test.sh

bench: build
	@tools/deps.sh bench
	@cmake --build build --parallel $(JOBS) --target bench

bench-rivals: build
	@tools/deps.sh rivals
	@cmake --preset release >/dev/null
	@cmake --build build --parallel $(JOBS) --target bench_programs
	@bench/rivals/run.py $(ARGS)

install: build
	DESTDIR='$(DESTDIR)' cmake --install build --prefix '$(PREFIX)'

clean:
	rm -rf build build-*

format:
	find src include app cli tests bench examples -name '*.[ch]' -not -path '*/node_modules/*' \
	    -exec clang-format -i {} +
