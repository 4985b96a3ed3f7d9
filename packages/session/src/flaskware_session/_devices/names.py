"""Readable names of devices, by the User-Agent of their browser.

ua-parser knows them: its rules are those of the uap-core project, which a package of
its own releases each month. Without it the text is shown as the browser sent it.
"""

from __future__ import annotations

import functools
import importlib.util
import typing as t

from flaskware_session._records.record import SessionInfo

from .texts import DeviceTexts

_LONGEST = 60
# A name of the rules that no user knows it by.
_SYSTEMS = {"Mac OS X": "macOS"}
_PROGRAMS = {"Mobile Safari UI/WKWebView": "App"}
_NO_MODELS = {"Generic", "Generic_Android", "Spider"}


class Agent(t.NamedTuple):
    """A program, and what it runs on; either may be empty."""

    program: str
    system: str


def has_parser() -> bool:
    """Return whether ua-parser is installed; it is not loaded for that."""
    return importlib.util.find_spec("ua_parser") is not None


# Its rules take a while, and the devices of a user stay the same.
@functools.lru_cache(maxsize=1024)
def parse_agent(text: str) -> Agent:
    """Return what a User-Agent says, as far as that is known."""
    if not text or not has_parser():
        return Agent(_shortened(text), "")
    import ua_parser

    found = ua_parser.parse(text)
    program = found.user_agent.family if found.user_agent else ""
    system = found.os.family if found.os else ""
    device = found.device
    # "iPhone" and "Pixel 8" say more than their system.
    if device and device.brand and device.brand not in _NO_MODELS:
        system = device.model or system
    if not program and not system:
        return Agent(_shortened(text), "")
    return Agent(_PROGRAMS.get(program, program), _SYSTEMS.get(system, system))


class DeviceRow:
    """One device as the page shows it."""

    def __init__(self, info: SessionInfo, texts: DeviceTexts) -> None:
        self.info = info
        program, system = parse_agent(info.agent)
        known = program or system or texts.unknown
        if program and system:
            known = texts.name.format(program=program, system=system)
        self.name = info.label or known
        # A label may hide that somebody else has the session by now.
        self.detail = known if info.label else ""
        self.last_seen = texts.last_seen.format(moment=texts.time(info.last_seen))
        signed_in = texts.signed_in_from if info.address else texts.signed_in
        self.signed_in = signed_in.format(
            moment=texts.time(info.created), address=info.address
        )


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
