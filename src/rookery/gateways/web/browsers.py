"""What a browser is called in the list of sessions: "Firefox on Linux", of a User-Agent that says much and means little."""

import re
from typing import Final, NamedTuple

# The first that fits: most browsers name those whose place they want to take, too.
_BROWSERS: Final = (
    ("Edge", re.compile(r"\bEdg(?:e|A|iOS)?/")),
    ("Opera", re.compile(r"\b(?:OPR|Opera|OPiOS)/")),
    ("Vivaldi", re.compile(r"\bVivaldi/")),
    ("Samsung Internet", re.compile(r"\bSamsungBrowser/")),
    ("Firefox", re.compile(r"\b(?:Firefox|FxiOS)/")),
    ("Chrome", re.compile(r"\b(?:Chrome|CriOS|HeadlessChrome)/")),
    ("Chromium", re.compile(r"\bChromium/")),
    ("Safari", re.compile(r"\bSafari/")),
)
_SYSTEMS: Final = (
    ("iOS", re.compile(r"\biPhone\b|\biPod\b")),
    ("iPadOS", re.compile(r"\biPad\b")),
    ("Android", re.compile(r"\bAndroid\b")),
    ("ChromeOS", re.compile(r"\bCrOS\b")),
    ("Windows", re.compile(r"\bWindows\b")),
    ("macOS", re.compile(r"\bMac OS X\b|\bMacintosh\b")),
    ("FreeBSD", re.compile(r"\bFreeBSD\b")),
    ("OpenBSD", re.compile(r"\bOpenBSD\b")),
    ("Linux", re.compile(r"\bLinux\b|\bX11\b")),
)
_NAMES: Final = frozenset(name for name, _ in _BROWSERS)
_SYSTEM_NAMES: Final = frozenset(name for name, _ in _SYSTEMS)


class Browser(NamedTuple):
    """A browser, and what it runs on; each empty where it can't be told."""

    name: str
    system: str


def browser_name(user_agent: str) -> str:
    """What to call the session of who sends `user_agent`; what is no browser's stays as it is."""
    if not user_agent.startswith("Mozilla/"):
        return user_agent
    name, system = _read(user_agent)
    return f"{name} on {system}" if name and system else name or user_agent


def browser_of(app: str) -> Browser | None:
    """The browser that a session's `app` stands for, which `browser_name` made or which is the beginning of a User-Agent; None for
    other programs.
    """
    if app.startswith("Mozilla/"):
        return _read(app)
    name, _, system = app.partition(" on ")
    if name in _NAMES and (not system or system in _SYSTEM_NAMES):
        return Browser(name, system)
    return None


def _read(user_agent: str) -> Browser:
    name = next((name for name, sign in _BROWSERS if sign.search(user_agent)), "")
    system = next((name for name, sign in _SYSTEMS if sign.search(user_agent)), "")
    return Browser(name, system)
