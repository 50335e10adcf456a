"""Kernels in threads, in forked children, and under a level that the environment names."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import test_attention
import test_norm
from arrays import TYPES

kinds = pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)


def some_work(library, kind):
    """The numbers that attention and norm write, in fresh arrays."""
    attention = test_attention.Call(test_attention.Case([3, 70, 41], heads=4, gap=2), kind)
    attention.run(library)
    norm = test_norm.Call(test_norm.Case(30, 770, dropped=6554), kind)
    norm.forward(library)
    norm.backward(library)
    return [*attention.written(), *(norm.read(name) for name in norm.arrays)]


def same(ones, others):
    return all(np.array_equal(one, other) for one, other in zip(ones, others, strict=True))


@kinds
def test_two_threads_at_once_write_the_bits_of_one(library, level, kind):
    want = some_work(library, kind)
    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(lambda _: some_work(library, kind), range(40)))
    assert all(same(result, want) for result in results)


@kinds
def test_threads_divide_one_call(library, level, kind):
    case = test_attention.Case([3, 70, 41, 130], heads=4)
    whole, divided = test_attention.Call(case, kind), test_attention.Call(case, kind)
    whole.run(library)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda unit: divided.run(library, [(unit, unit + 1)]), range(divided.units)))
    assert same(whole.written(), divided.written())


def _in_child(library, kind, want):
    sys.exit(0 if same(some_work(library, kind), want) else 1)


@kinds
def test_a_forked_child_uses_kernels_after_its_parent_did(library, level, kind):
    want = some_work(library, kind)
    child = multiprocessing.get_context("fork").Process(target=_in_child, args=(library, kind, want))
    child.start()
    child.join(60)
    code = child.exitcode
    child.kill()
    assert code == 0


def python(code, **environment):
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_package_loads_its_library_on_first_use(library):
    code = "import textclf_kernels as k; maps = lambda: 'libtextclf_kernels' in open('/proc/self/maps').read()"
    assert python(f"{code}; before = maps(); k.load(); print(before, maps())") == "False True"


def test_the_environment_names_the_level(library):
    code = "import textclf_kernels as k; print(k.level())"
    assert python(code, TEXTCLF_KERNELS="avx2") == "avx2"
    assert python(code, TEXTCLF_KERNELS="") == python("import textclf_kernels as k; print(k.best_level())")


REFUSED = "import textclf_kernels as k\n{}\ntry:\n    k.load()\nexcept k.Unavailable as error:\n    print(error)"


def test_a_level_that_is_none_is_refused_with_those_of_the_processor(library):
    import textclf_kernels

    known = ", ".join(textclf_kernels.LEVELS[: library.textclf_best_level()])
    message = python(REFUSED.format(""), TEXTCLF_KERNELS="avx9")
    assert message == f"TEXTCLF_KERNELS is 'avx9', but this processor has {known}"


def test_the_environment_turns_kernels_off():
    assert python(REFUSED.format(""), TEXTCLF_KERNELS="none") == "TEXTCLF_KERNELS is 'none'"


def test_a_library_of_another_version_is_refused(library):
    message = python(REFUSED.format("k.ABI += 1"))
    assert message.endswith("belongs to another version of textclf-kernels; reinstall it")


def test_a_package_without_its_library_says_so(library, tmp_path):
    import textclf_kernels

    (tmp_path / "textclf_kernels").mkdir()
    shutil.copy(Path(textclf_kernels.__file__), tmp_path / "textclf_kernels")
    message = python(REFUSED.format(""), PYTHONPATH=str(tmp_path))
    assert message == "textclf-kernels was installed without its compiled library; reinstall it"
