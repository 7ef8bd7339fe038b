"""Links between the documents of this repository lead somewhere; addresses on the network are not asked."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

FENCE = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
ANCHOR = re.compile(r"<a\s+(?:id|name)=\"([^\"]+)\"")


def list_anchors(text: str) -> set[str]:
    """Return the fragments that GitHub gives to the headings of a document, and those that it sets itself."""
    text = FENCE.sub("", text)
    counts: Counter[str] = Counter()
    anchors = set(ANCHOR.findall(text))
    for heading in HEADING.findall(text):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        anchors.add(f"{slug}-{counts[slug]}" if counts[slug] else slug)
        counts[slug] += 1
    return anchors


def list_links(text: str) -> list[str]:
    """Return the targets of all links outside code, without those on the network."""
    targets = [inline or reference for inline, reference in LINK.findall(CODE.sub("", FENCE.sub("", text)))]
    return [target for target in targets if not re.match(r"[a-z][a-z0-9+.-]*:", target, re.IGNORECASE)]


def find_broken(document: Path) -> list[str]:
    """Return the links of a document that lead to no file, or to no heading of a file."""
    broken = []
    for target in list_links(document.read_text(encoding="utf-8")):
        name, _, fragment = target.partition("#")
        file = document.parent / name if name else document
        is_there = file.exists()
        if is_there and fragment and file.suffix == ".md":
            is_there = fragment in list_anchors(file.read_text(encoding="utf-8"))
        if not is_there:
            broken.append(target)
    return broken


def test_every_link_leads_somewhere(repository: Path) -> None:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    names = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout.splitlines()
    documents = [repository / name for name in names if (repository / name).exists()]
    assert {"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"} <= set(names)
    assert sum(len(list_links(document.read_text(encoding="utf-8"))) for document in documents) >= 20
    broken = {str(document.relative_to(repository)): find_broken(document) for document in documents}
    assert {name: links for name, links in broken.items() if links} == {}


@pytest.mark.parametrize("target", ["gone.md", "#gone", "other.md#gone", "folder/"])
def test_a_broken_link_is_found(tmp_path: Path, target: str) -> None:
    (tmp_path / "other.md").write_text("# Here\n")
    document = tmp_path / "document.md"
    good = "[a](other.md#here), [b](#title), `[c](code)`, [d](https://x/gone)"
    document.write_text(f"# Title\n\n{good}, [e]({target})\n")
    assert find_broken(document) == [target]


def test_fragments_are_those_of_github() -> None:
    text = "# A b, `c`: d!\n\n## Twice\n\n## Twice\n\n```\n# code\n```\n\n## [Unreleased](x)\n"
    assert list_anchors(text) == {"a-b-c-d", "twice", "twice-1", "unreleased"}
