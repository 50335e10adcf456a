"""Nothing needs a POSIX system: every module loads, and the command works, without what only such systems have."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import RECIPE, install

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(
    ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    for root, folder in ((ROOT, "textclf"), (ROOT / "plugins", "."))
    for path in (root / folder).rglob("*.py")
    if path.name != "__main__.py"
)
# The libraries of the extras, which may really be missing.
EXTRAS = (
    "torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "gdown", "pyarrow", "jinja2", "captum",
)  # fmt: skip

# This interpreter takes away what Windows lacks, and then does what the arguments say.
OTHER_SYSTEM = """
import os, signal, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

sys.meta_path.insert(0, Missing())
for name in ("fork", "forkpty", "readv", "writev", "pread", "pwrite", "sched_getaffinity", "sched_setaffinity",
             "setsid", "getpgid", "killpg", "mkfifo", "statvfs", "fchmod"):
    delattr(os, name)
for name in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGXFSZ", "alarm", "setitimer"):
    delattr(signal, name)
"""
COMMAND = OTHER_SYSTEM + "from textclf.cli.main import main\nsys.exit(main(sys.argv[1:]))\n"
IMPORT = (
    OTHER_SYSTEM
    + f"""
import importlib, traceback
failed = False
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        if not (isinstance(error, ModuleNotFoundError) and error.name.partition(".")[0] in {EXTRAS}):
            print(name, file=sys.stderr)
            traceback.print_exc()
            failed = True
sys.exit(failed)
"""
)


def python(code: str, *arguments: str, path: Path = ROOT) -> str:
    """Run code in a fresh interpreter, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, timeout=240,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(path), os.environ.get("PYTHONPATH")]))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("package", sorted({name.partition(".")[0] for name in MODULES}))
def test_every_module_loads_on_a_system_that_is_not_posix(package: str) -> None:
    python(IMPORT, *(name for name in MODULES if name.partition(".")[0] == package))


def test_the_command_works_on_a_system_that_is_not_posix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEXTCLF_CACHE", str(tmp_path / "cache"))
    site = install(tmp_path / "site", toy="textclf.testing.toy")
    Path("toys.yaml").write_text(RECIPE, "utf-8")
    Path("in.csv").write_text("id,text\n" + "".join(f"{row},dabe fine {row}\n" for row in range(200)), "utf-8")
    assert "predict" in python(COMMAND, "--help", path=site)
    assert "nothing was run" in python(COMMAND, "check", "toys.yaml", path=site)
    assert "toy_accuracy" in python(COMMAND, "run", "toys.yaml", path=site)
    assert "finished" in python(COMMAND, "runs", path=site)
    python(COMMAND, "predict", "toys", "--input", "in.csv", "--output", "out.csv", path=site)
    with Path("out.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 200
    assert sorted(path.name for path in tmp_path.glob("*out*")) == ["out.csv"]
    piped = python(COMMAND, "predict", "toys", "dabe fine 0", path=site)
    assert piped.startswith("text,predicted,score,")
