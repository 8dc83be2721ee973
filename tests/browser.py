"""A real browser for tests of pages: Chromium, headless, through Playwright. Tests skip where there is none."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@contextlib.contextmanager
def launched() -> Iterator:
    """The browser; the test that asks is skipped, with the line that installs it, where there is none."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="pip install playwright, apt-get install chromium"
    )
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    options = ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


def opened(browser, path, address: str = "", width: int = 1280, height: int = 900, **options):
    """A page, and the list that its errors go to."""
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    context.set_default_timeout(10_000)
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda told: errors.append(told.text) if told.type == "error" else None)
    page.on(
        "request",
        lambda asked: (
            None if asked.url.startswith(("file:", "data:")) else errors.append(asked.url)
        ),
    )
    page.goto(path.as_uri() + address)
    return page, errors


def fits(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
