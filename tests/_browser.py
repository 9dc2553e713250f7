"""A page as Chromium has it after its scripts ran; tests that need it are skipped where there is no browser."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def dumped(page: Path, profile: Path, *, size: tuple[int, int], query: str = "") -> str:
    """The page's elements as text.

    Args:
        page: The file.
        profile: An empty folder for the browser.
        size: Of the window, in pixels; 500 is Chromium's least width.
        query: After the page's address.
    """
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs Chromium or Chrome on the PATH")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--dump-dom"]
    window = [f"--window-size={size[0]},{size[1]}", "--virtual-time-budget=30000"]
    command = [browser, *options, *window, f"file://{page}{query}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=True).stdout
