"""An environment that has the built wheel and nothing of this tree: where other people's projects live."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SECONDS = 280


class Installed:
    """A virtual environment with the wheel, NumPy and what the examples are built with."""

    PACKAGES = ("numpy", "setuptools>=77", "cython>=3.1", "cffi>=1.16", "cmake")

    def __init__(self, folder: Path):
        self.folder = folder
        wheel = os.environ.get("ZARRS_C_TEST_WHEEL") or self._build()
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True, timeout=SECONDS)
        self.bin = folder / "venv" / "bin"
        self.python = self.bin / "python"
        self.run(
            self.python, "-m", "pip", "install", "-q", "--disable-pip-version-check", wheel, *self.PACKAGES
        )

    def _build(self) -> str:
        dist = self.folder / "dist"
        command = [
            sys.executable,
            ROOT / "scripts" / "rust_env.py",
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
        ]
        command += ["--no-build-isolation", "--no-deps", "--wheel-dir", dist, ROOT]
        subprocess.run(command, check=True, cwd=ROOT, timeout=SECONDS)
        (wheel,) = dist.glob("*.whl")
        return str(wheel)

    @property
    def environment(self) -> dict:
        """Without anything that could lead back to this tree."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
        }
        return {**kept, "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}"}

    def run(self, *command, cwd=None, environment=None, fails=False):
        """The output of a command, which must succeed, or with `fails` what it says on stderr."""
        done = subprocess.run(
            [str(word) for word in command],
            cwd=cwd or self.folder,
            env={**self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert (done.returncode != 0) == fails, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stderr if fails else done.stdout

    def copy(self, example: str) -> Path:
        """An example as somebody else has it: a folder somewhere."""
        folder = self.folder / example
        if not folder.exists():
            shutil.copytree(EXAMPLES / example, folder, ignore=shutil.ignore_patterns("build", "*.so"))
        return folder

    def extension(self, source: Path) -> Path:
        """Build a project's extension module in place; the folder to import it from."""
        self.run(self.python, "setup.py", "-q", "build_ext", "--inplace", cwd=source)
        return source
