"""A real headless Chromium, and the pages that are looked at in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import onnxfp
from onnxfp.report.html.evaluation_page import render_evaluation
from onnxfp.report.html.verification_page import render_verification

# Everything that Chromium would do beyond showing a file.
_QUIET = (
    "headless",
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
    "hide-scrollbars",
)

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\x1b[2J\u202egnp.onnx"
"""A name of a suspect's file that tries to run, to be fetched, to steer a terminal and to read backwards."""


@dataclass(frozen=True)
class Browser:
    """Chromium, as a visitor with a certain screen and taste."""

    driver: Any

    def open(self, page: Path, *, width: int = 1024, is_dark: bool = False, media: str = "screen") -> None:
        """Show a page, and forget what was logged before."""
        command = self.driver.execute_cdp_cmd
        command(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        command("Emulation.setEmulatedMedia", {"media": media, "features": [scheme]})
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get(page.as_uri())

    def run(self, script: str) -> Any:
        """Return what a script finds; the page's own policy does not bind its visitor."""
        return self.driver.execute_script(script)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for all tests."""
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        reason = "Chromium is missing: apt-get install chromium chromium-driver"
        if os.environ.get("ONNXFP_NEEDS_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*_QUIET, *(["no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else [])):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    yield Browser(driver)
    driver.quit()


@pytest.fixture(scope="session")
def pages(
    models: Path, make_evaluation: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """One page of every sort, as it is written for real models."""
    folder = tmp_path_factory.mktemp("pages")
    bundle = Path(__file__).parents[1] / "golden" / "base-1.fp.npz"
    stolen, independent = models / "stolen" / "int8.onnx", models / "independent" / "vgg_seed2.onnx"
    fingerprint = onnxfp.load(bundle)
    match = onnxfp.verify(stolen, fingerprint)
    hostile = replace(match, suspect=replace(match.suspect, input=HOSTILE))
    open_question = onnxfp.verify(stolen, fingerprint, policy=onnxfp.Policy(needs_references=True))
    reports = {
        "match": (match, stolen.name),
        "no-match": (onnxfp.verify(independent, fingerprint, references=[independent]), independent.name),
        "inconclusive": (open_question, stolen.name),
        "hostile": (hostile, HOSTILE),
    }
    texts = {
        name: render_verification(report, fingerprint, suspect, bundle.name)
        for name, (report, suspect) in reports.items()
    }
    texts["evaluation"] = render_evaluation(make_evaluation(fingerprint), fingerprint, bundle.name)
    bare = make_evaluation(fingerprint, (("fp16", "variant", "number format", 16, 1.0, 0.86),), None)
    texts["bare-evaluation"] = render_evaluation(bare, fingerprint, HOSTILE)
    paths = {name: folder / f"{name}.html" for name in texts}
    for name, path in paths.items():
        path.write_text(texts[name], encoding="utf-8")
    return paths
