"""The Python package states the C interface as the header does."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import pytest

HEADER = re.sub(r"/\*.*?\*/", "", (Path(__file__).parents[1] / "src" / "textclf_kernels.h").read_text(), flags=re.S)
NUMBERS = {
    "int32_t": ctypes.c_int32,
    "uint32_t": ctypes.c_uint32,
    "int64_t": ctypes.c_int64,
    "uint64_t": ctypes.c_uint64,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
    "void": None,
}
STRUCTURES = {"textclf_attention": "Attention", "textclf_norm": "Norm", "textclf_adamw_step": "AdamWStep"}


def variable(text, base=None):
    """The name and the ctypes type of a C variable; `base` is the type of the first in its list."""
    name = re.search(r"\w+$", text).group()
    base = base or re.search(r"\b(\w+)\b(?:\s+\*|\s+\w+$|\s*\*)", text.replace("const", "")).group(1)
    if "*" in text:
        return name, base, ctypes.c_void_p
    return name, base, NUMBERS[base]


def fields(structure):
    body = re.search(r"typedef struct \{([^}]*)\} " + structure + ";", HEADER).group(1)
    for line in body.split(";")[:-1]:
        base = None
        for text in line.split(","):
            name, base, kind = variable(text.strip(), base)
            yield name, kind


@pytest.mark.parametrize("structure", STRUCTURES)
def test_structures_have_the_fields_of_the_header(library, structure):
    import textclf_kernels

    assert getattr(textclf_kernels, STRUCTURES[structure])._fields_ == list(fields(structure))


def test_functions_have_the_arguments_of_the_header(library):
    import textclf_kernels

    found = re.findall(r"TEXTCLF_API (\w+) (textclf_\w+)\(([^)]*)\);", HEADER)
    assert len(found) == 16
    for result, name, arguments in found:
        function = getattr(library, name)
        assert function.restype == NUMBERS[result]
        want = []
        for text in [] if arguments == "void" else arguments.split(","):
            _, base, kind = variable(text.strip())
            structure = STRUCTURES.get(base)
            want.append(ctypes.POINTER(getattr(textclf_kernels, structure)) if structure else kind)
        if function.argtypes is not None:
            assert list(function.argtypes) == want


def test_levels_and_version_of_the_interface_are_the_header_s(library):
    import textclf_kernels

    (levels,) = re.findall(r"enum \{ TEXTCLF_NONE = 0, ([^}]*) \}", HEADER)
    assert [f"TEXTCLF_{level.upper()} = {i}" for i, level in enumerate(textclf_kernels.LEVELS, 1)] == levels.split(", ")
    assert f"#define TEXTCLF_KERNELS_ABI {textclf_kernels.ABI}\n" in HEADER
    assert library.textclf_abi() == textclf_kernels.ABI
