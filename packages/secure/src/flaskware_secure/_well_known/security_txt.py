"""The file ``security.txt``: addresses to report vulnerabilities to (RFC 9116)."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import datetime
import re
from urllib.parse import urlsplit

from flaskware_secure._policy.vocabulary import Complaint

# Printable characters of RFC 3986: nothing here can end the line.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
# The form of a tag (RFC 5646, section 2.1), without the list of languages. `langcodes`
# knows that list, but takes megabytes of tables for one optional line.
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


@dc.dataclass(frozen=True)
class SecurityTxt:
    """The fields of the file.

    It is written here: `sectxt` reads and checks such files and writes none.

    :param contacts: Addresses to write to, in order of preference.
    :param expires: The end of its validity; UTC if it names no zone.
    """

    contacts: tuple[str, ...]
    expires: datetime.datetime
    encryption: tuple[str, ...] = ()
    acknowledgments: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    canonical: tuple[str, ...] = ()
    policy: tuple[str, ...] = ()
    hiring: tuple[str, ...] = ()

    @property
    def end(self) -> datetime.datetime:
        """The end of its validity, with a zone."""
        if self.expires.utcoffset() is None:
            return self.expires.replace(tzinfo=datetime.UTC)
        return self.expires

    def text(self) -> str:
        """Return the content of the file."""
        end = self.end.isoformat(timespec="seconds").replace("+00:00", "Z")
        lines = [
            *(f"Contact: {each}" for each in self.contacts),
            f"Expires: {end}",
            *(f"Encryption: {each}" for each in self.encryption),
            *(f"Acknowledgments: {each}" for each in self.acknowledgments),
            *(f"Canonical: {each}" for each in self.canonical),
            *(f"Policy: {each}" for each in self.policy),
            *(f"Hiring: {each}" for each in self.hiring),
        ]
        if self.languages:  # one line, where the others have one each
            lines.append(f"Preferred-Languages: {', '.join(self.languages)}")
        return "".join(f"{line}\n" for line in lines)

    def complaints(self) -> cabc.Iterator[tuple[str, Complaint]]:
        """Yield what is wrong, with the name of its field."""
        for field in ("contacts", "encryption"):
            for address in getattr(self, field):
                if not is_address(address):
                    yield field, _bad_address(address)
        for field in ("acknowledgments", "canonical", "policy", "hiring"):
            for address in getattr(self, field):
                if not (is_address(address) and address.lower().startswith("https:")):
                    yield field, _bad_address(address, "an https address")
        for tag in self.languages:
            if not _LANGUAGE.fullmatch(tag):
                expected = "the tag of a language, such as 'en' or 'pt-BR'"
                yield "languages", ("security-txt.bad-language", expected, tag, "en")


def is_address(text: str) -> bool:
    """Return whether a text is a URI that the file may name: never plain http."""
    if not _URI.fullmatch(text):
        return False
    try:
        parts = urlsplit(text)
    except ValueError:  # a bracket without its other half
        return False
    if parts.scheme == "mailto":
        return "@" in parts.path
    return parts.scheme != "http" and (parts.scheme != "https" or bool(parts.hostname))


def _bad_address(
    text: str, expected: str = "an address that starts with mailto:, https: or tel:"
) -> Complaint:
    if "@" in text and ":" not in text:
        write = f"mailto:{text}"
    elif text.startswith("http://"):
        write = f"https://{text.removeprefix('http://')}"
    else:
        write = "https://www.example.org/security"
    return "security-txt.bad-address", expected, text, write
