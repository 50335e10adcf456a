"""Runs the torch, transformers and vectors tests as processors with other instructions would.

    python benchmarks/processors.py
    python benchmarks/processors.py --only default avx2

Processors round otherwise, as their kernels add up in another order. Each setting of PyTorch and its libraries stands
for an older processor than this one. Prints what this processor has and a table: setting, passed, failed, skipped,
seconds; then the tests that failed. Exits with 1 where a test failed.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
KINDS = ("torch", "transformers", "vectors")
SETTINGS: dict[str, dict[str, str]] = {
    "plain": {},
    "default": {"ATEN_CPU_CAPABILITY": "default"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "products": {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
}
FLAGS = ("avx2", "avx512f", "avx512_bf16")


def flags() -> str:
    """Say which of the instructions that the settings are about this processor has, where the system tells."""
    try:
        told = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return "unknown"
    found = re.search(r"^flags\s*:(.*)$", told, re.MULTILINE)
    return ", ".join(f for f in FLAGS if f in found[1].split()) or "none of them" if found else "unknown"


def run(variables: Mapping[str, str], tests: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """Return how many tests passed, failed and were skipped, and what went wrong, a line each."""
    kept = {name: value for name, value in os.environ.items() if not any(name in each for each in SETTINGS.values())}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--tb=no", *tests]
    done = subprocess.run(command, cwd=ROOT, env={**kept, **variables}, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    counts = {kind: int(number) for number, kind in re.findall(r"(\d+) (\w+)", lines[-1] if lines else "")}
    counts["failed"] = counts.get("failed", 0) + counts.get("error", 0) + counts.get("errors", 0)
    failures = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    if done.returncode and not failures:
        failures = [done.stderr.strip() or f"pytest ended with status {done.returncode}"]
    return counts, failures


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SETTINGS, default=[*SETTINGS], help="these settings alone")
    parser.add_argument("--tests", nargs="+", metavar="FILE", help="these test files in place of all")
    chosen = parser.parse_args(arguments)
    tests = chosen.tests or [str(ROOT / "tests" / "plugins" / kind) for kind in KINDS]
    print(f"of {', '.join(FLAGS)} this processor has: {flags()}")
    print("| setting | variables | passed | failed | skipped | seconds |\n|---|---|---|---|---|---|")
    failed: list[str] = []
    for name in chosen.only:
        began = time.perf_counter()
        counts, failures = run(SETTINGS[name], tests)
        shown = " ".join(f"{key}={value}" for key, value in SETTINGS[name].items())
        numbers = " | ".join(str(counts.get(kind, 0)) for kind in ("passed", "failed", "skipped"))
        print(f"| {name} | {shown} | {numbers} | {time.perf_counter() - began:.0f} |", flush=True)
        failed += [f"{name}: {line}" for line in failures]
    print("\n".join(failed), end="\n" if failed else "")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
