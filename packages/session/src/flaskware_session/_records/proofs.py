"""Hashes of the secrets that open a session, as one text of its record.

A renewal loses nothing: the secret that it hands out is *pending* until a request
first carries it, and until then the *current* secret goes on. Then it becomes current,
and its predecessor has a grace, for requests that are under way.

The text is the current hash; then, after a space each, the pending hashes, the newest
first; then those that are leaving, as ``hash:moment``. Mostly it is one hash.
"""

from __future__ import annotations

import hmac

_HASH = 43
# Each of many requests at once may renew the id, and the browser keeps the cookie that
# arrives last. A client that never takes a cookie is offered a new id each time.
_MOST_PENDING = 16
_MOST_LEAVING = 16


def admits(proofs: str, proof: str, now: int) -> bool:
    """Return whether the secret of a hash opens the session."""
    if hmac.compare_digest(proofs[:_HASH], proof):
        return True
    if len(proofs) == _HASH:
        return False
    for part in proofs.split(" ")[1:]:
        found, _, until = part.partition(":")
        if hmac.compare_digest(found, proof):
            return not until or now < _moment(until)
    return False


def is_pending(proofs: str, proof: str) -> bool:
    """Return whether the secret of a hash was handed out and is seen only now."""
    return len(proofs) > _HASH and proof in proofs.split(" ")[1:]


def seen(proofs: str, proof: str, *, now: int, grace: int) -> str:
    """Make a pending secret current; its predecessor leaves after the grace.

    :param grace: In milliseconds.
    :return: The same text, if the secret is not pending.
    """
    if not is_pending(proofs, proof):
        return proofs
    current, *others = proofs.split(" ")
    # The answers to parallel requests hand out several secrets; the browser keeps the
    # last to arrive, which need not be the first that it sends.
    pending = [part for part in others if ":" not in part and part != proof]
    leaving = [part for part in others if now < _moment(part.partition(":")[2])]
    if grace:
        leaving.insert(0, f"{current}:{now + grace}")
    return " ".join([proof, *pending, *leaving[:_MOST_LEAVING]])


def offered(proofs: str, proof: str) -> str:
    """Add the hash of a secret that is handed out."""
    current, *others = proofs.split(" ")
    pending = [part for part in others if ":" not in part][: _MOST_PENDING - 1]
    leaving = [part for part in others if ":" in part]
    return " ".join([current, proof, *pending, *leaving])


def _moment(text: str) -> int:
    return int(text) if text.isdecimal() else 0
