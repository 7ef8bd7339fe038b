"""What README.md shows is what the commands print.

Every block that begins with ``$ onnxfp`` is run, in order, in a folder with the repository's models. Numbers and
digests depend on the reader's key and machine, so digits are compared as such; every word must be the same.
``make readme`` writes the present output into the file.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

BLOCK = re.compile(r"```console\n(\$ onnxfp [^\n]+)\n(.*?)```", re.DOTALL)


def mask(text: str) -> str:
    """Return the text with every number, digest and key as one sign, and blanks folded."""
    text = re.sub(r"\b[0-9a-f]{64}\b", "#", text)
    text = re.sub(r"[-+]?\d[\d.,:TZe%-]*", "#", text)
    # Lines break elsewhere when a number is longer.
    return re.sub(r"\s+", " ", text).strip()


def test_the_readme_shows_what_the_commands_print(repository: Path, tmp_path: Path) -> None:
    readme = (repository / "README.md").read_text(encoding="utf-8")
    blocks = BLOCK.findall(readme)
    assert len(blocks) >= 5
    (tmp_path / "models").symlink_to(repository / "models")
    environment = {**os.environ, "ONNXFP_HOME": str(tmp_path / "home"), "COLUMNS": "100"}
    written = readme
    for command, shown in blocks:
        words = shlex.split(command)[2:]
        done = subprocess.run(
            [sys.executable, "-m", "onnxfp", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, 10, 11), done.stderr
        written = written.replace(f"{command}\n{shown}```", f"{command}\n{done.stdout}```")
        if "ONNXFP_WRITE_README" not in os.environ:
            assert mask(done.stdout) == mask(shown), command
    if "ONNXFP_WRITE_README" in os.environ:
        (repository / "README.md").write_text(written, encoding="utf-8")
