"""What every test of the kernels shares: the library, and the levels of the processor."""

from __future__ import annotations

import pytest
from hypothesis import settings

# The same examples in every run, so that a test fails for a change and not by chance; `--hypothesis-profile=few` is for
# sanitizers, under which everything is slow.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("few", derandomize=True, deadline=None, max_examples=10)
settings.load_profile("same")

LEVELS = ("avx2", "avx512", "avx512_bf16", "amx_bf16")


@pytest.fixture(autouse=True, scope="session")
def library():
    """The library, or a skip of all tests where it is not installed."""
    kernels = pytest.importorskip(
        "textclf_kernels", reason="textclf-kernels is not installed: `pip install ./kernels` needs a C++ compiler"
    )
    try:
        return kernels.load()
    except kernels.Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=LEVELS)
def level(request, library):
    """Each level in turn, skipped where the processor lacks it."""
    import textclf_kernels

    before = textclf_kernels.level()
    try:
        textclf_kernels.use_level(request.param)
    except textclf_kernels.Unavailable as error:
        pytest.skip(str(error))
    yield request.param
    textclf_kernels.use_level(before)
