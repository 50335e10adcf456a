#!/usr/bin/env bash
# Runs the tests of the kernels under AddressSanitizer and UndefinedBehaviorSanitizer, with fewer examples.
# Usage: kernels/tests/sanitize.sh [arguments of pytest]; PYTHON names an interpreter with pytest, hypothesis and numpy.
set -euo pipefail
kernels=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}

build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
cmake -S "$kernels" -B "$build/objects" -DTEXTCLF_SANITIZE=ON -DTEXTCLF_STRICT=ON >"$build/log"
cmake --build "$build/objects" --parallel >>"$build/log"
cmake --install "$build/objects" --prefix "$build" >>"$build/log"
cp "$kernels"/textclf_kernels/*.py "$build/textclf_kernels"

# Python itself leaks by design. -s shows what the sanitizers print. The longest text takes too long here.
compiler=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$build/objects/CMakeCache.txt")
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
export LD_PRELOAD="$("$compiler" -print-file-name=libasan.so) $("$compiler" -print-file-name=libstdc++.so)"
PYTHONPATH=$build "$python" -m pytest -s -o addopts= -p no:cacheprovider --hypothesis-profile=few \
  -k "not 4096" "$@" "$kernels/tests"
