"""A headless Chromium, and a page of it that notes whatever goes wrong or leaves this server."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Page, Playwright, expect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NO_BROWSER = "no Chromium on this machine: run `make install-browser`, or name one in BUMP_CHROMIUM"
# Without the last four it asks hosts of its maker for things that no test needs.
_ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
WIDE = {"width": 1440, "height": 900}
NARROW = {"width": 390, "height": 844}
# A loaded machine takes its time.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)


def chromium() -> str | None:
    """Where the browser is, None where there is none."""
    named = os.environ.get("BUMP_CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


async def launch(playwright: Playwright, path: str) -> Browser:
    return await playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)


# Playwright notes its listeners in the object.
@dataclass
class Watched:
    """What a page did that it must not do."""

    errors: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def hear(self, said: ConsoleMessage) -> None:
        if said.type in ("error", "warning"):
            self.errors.append(said.text)

    def see(self, asked: str, own: str) -> None:
        if not asked.startswith(own):
            self.elsewhere.append(asked)


@asynccontextmanager
async def watched_page(
    browser: Browser, url: str, **options: Any
) -> AsyncIterator[tuple[Page, Watched]]:
    """A page with `url` as its base, in a context of its own."""
    context = await browser.new_context(
        base_url=url, **{"viewport": WIDE, "locale": "en-GB", "timezone_id": "UTC", **options}
    )
    page, watched = await context.new_page(), Watched()
    page.set_default_timeout(PATIENCE_MS)
    page.on("pageerror", lambda error: watched.errors.append(str(error)))
    page.on("console", watched.hear)
    page.on("request", lambda sent: watched.see(sent.url, url))
    try:
        yield page, watched
    finally:
        await context.close()
