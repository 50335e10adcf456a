"""A worker process of a training."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_a_worker_ends_with_its_orders_even_where_it_waits_for_something_else(tmp_path: Path):
    os.mkfifo(tmp_path / "outline.json")
    worker = subprocess.Popen(
        [sys.executable, "-P", "-m", "textclf_torch.distributed.worker", str(tmp_path), "1"], stdin=subprocess.PIPE
    )
    assert worker.stdin is not None
    worker.stdin.close()
    assert worker.wait(60) == 0
