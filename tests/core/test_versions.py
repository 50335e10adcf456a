"""Which versions of textclf a plugin's requirement allows."""

from __future__ import annotations

import pytest

from textclf.plugin.registry import refused


@pytest.mark.parametrize(
    "requirement",
    [
        "textclf-engine",
        "textclf-engine>=0.3",
        "textclf-engine>=0.3,<1",
        "textclf_engine[bert]>=0.3.0; python_version >= '3.11'",
        "textclf-engine~=0.3.1",
        "textclf-engine==0.3.*",
        "textclf-engine!=0.4",
        "textclf-engine @ https://example.org/textclf.whl",
        "textclf-engine>=9; extra == 'dev'",
        "another-engine>=9",
        "textclf-engine-more>=9",
        "textclf-engine >= 0.3 , <= 0.3.2",
        "textclf-engine (>=0.3.2.0,<0.4)",
    ],
)
def test_a_requirement_that_the_version_keeps(requirement):
    """P07: these are allowed."""
    assert refused([requirement], "0.3.2") == ""


@pytest.mark.parametrize(
    ("requirement", "bounds"),
    [
        ("textclf-engine>=0.4", ">=0.4"),
        ("textclf-engine<0.3.2,>=0.1", "<0.3.2,>=0.1"),
        ("textclf-engine (>=1)", ">=1"),
        ("textclf-engine~=0.2.0", "~=0.2.0"),
        ("textclf-engine==0.3", "==0.3"),
        ("textclf-engine!=0.3.*", "!=0.3.*"),
        ("textclf-engine>0.3.2", ">0.3.2"),
        ("Textclf_Engine>=0.10", ">=0.10"),
        ("textclf-engine>=0.3,<0.3.2.0", "<0.3.2.0,>=0.3"),
    ],
)
def test_a_requirement_that_the_version_does_not_keep(requirement, bounds):
    """P07: these are refused, and the bounds are said."""
    assert refused(["numpy>=2", requirement], "0.3.2") == bounds
