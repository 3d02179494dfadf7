"""Remakes the README's screenshots: `make screenshots`. A demo network in a temporary folder, seen by its demo account in Chromium."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

FOLDER = Path(__file__).parents[1] / "docs" / "screenshots"
_PEOPLE, _TWEETS = 500, 8_000
_DESKTOP: dict[str, Any] = {"viewport": {"width": 1100, "height": 760}, "color_scheme": "light"}
_PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 760},
    "color_scheme": "dark",
    "is_mobile": True,
    "device_scale_factor": 1.5,
}
_LARGEST = 200 * 1024
"""Bytes that a picture may have: whoever clones the repository fetches each version of it."""


@contextmanager
def _demo(data: Path) -> Generator[tuple[str, str, str]]:
    """A demo network: its address, the handle and the password of the demo account."""
    words = ["demo", "--data", str(data), "--port", "0", "--people", str(_PEOPLE), "--tweets", str(_TWEETS)]
    server = subprocess.Popen(
        [sys.executable, "-m", "rookery", *words],
        env={**os.environ, "ROOKERY_METRICS_PORT": "-1", "ROOKERY_LOG_LEVEL": "warning"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        for _ in range(1200):
            if server.poll() is not None:
                sys.exit(f"the demo ended with {server.returncode}")
            # Written last, when it answers.
            with suppress(OSError, ValueError):
                port = json.loads((data / "server.json").read_text())["port"]
                handle, password = (data / "demo-login").read_text().split()
                yield f"http://127.0.0.1:{port}", handle, password
                return
            time.sleep(0.1)
        sys.exit("the demo did not start within two minutes")
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


async def _logged_in(browser: Browser, address: str, login: tuple[str, str], options: dict[str, Any]) -> Page:
    context = await browser.new_context(locale="en-GB", **options)
    page = await context.new_page()
    await page.goto(f"{address}/login")
    await page.get_by_label("Handle or email").fill(login[0])
    await page.get_by_label("Password").fill(login[1])
    await page.get_by_role("main").get_by_role("button", name="Log in").click()
    await page.locator("article.tweet").first.wait_for()
    return page


async def _shoot(page: Page, name: str) -> None:
    # Nothing that opens later, and no caret that blinks.
    await page.wait_for_load_state("networkidle")
    picture = await page.screenshot(path=FOLDER / name, scale="device", animations="disabled", caret="hide")
    print(f"{name}: {len(picture) // 1024} KiB")
    if len(picture) > _LARGEST:
        sys.exit(f"{name} has more than {_LARGEST // 1024} KiB")


async def _shoot_all(address: str, login: tuple[str, str], program: str) -> None:
    options = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    if os.geteuid() == 0:
        options.append("--no-sandbox")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=options)
        page = await _logged_in(browser, address, login, _DESKTOP)
        await page.goto(f"{address}/")
        await _shoot(page, "home.png")
        page = await _logged_in(browser, address, login, _PHONE)
        await page.goto(f"{address}/?order=top")
        await _shoot(page, "phone-dark.png")
        await browser.close()


def main() -> None:
    """Make both pictures."""
    program = shutil.which("chromium") or sys.exit("there is no chromium; scripts/install-tools installs it")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="rookery-") as folder, _demo(Path(folder) / "data") as (address, handle, password):
        asyncio.run(_shoot_all(address, (handle, password), program))


if __name__ == "__main__":
    main()
