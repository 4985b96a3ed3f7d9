"""Hashes of the secrets that open a session, as one text of its record.

A renewal loses nothing: the secret that it hands out is *pending* until a request
first carries it, and until then the *current* secret goes on. Then it becomes current,
and its predecessor has a grace, for requests that are under way.

Parallel requests can hand out several secrets. The answer that arrives last decides
which of them the browser keeps, and requests that carry the others may be served after
it. So once one has become current the others are its *siblings*: each may become
current in its turn, and they leave when all such requests must be over.

The text is the current hash; then, after a space each, the pending hashes, the newest
first; the siblings, as ``hash~``; and those that are leaving, as ``hash:moment``.
Mostly it is one hash.
"""

from __future__ import annotations

import hmac

_HASH = 43
_SIBLING = "~"
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
        found, _, until = part.removesuffix(_SIBLING).partition(":")
        if hmac.compare_digest(found, proof):
            return not until or now < _moment(until)
    return False


def is_pending(proofs: str, proof: str) -> bool:
    """Return whether the secret of a hash is not current, and becomes so when seen."""
    if len(proofs) == _HASH:
        return False
    others = proofs.split(" ")[1:]
    return proof in others or proof + _SIBLING in others


def seen(proofs: str, proof: str, *, now: int, grace: int) -> str:
    """Make a pending secret current; its predecessor leaves after the grace.

    :param grace: In milliseconds.
    :return: The same text, if the secret is not pending.
    """
    if not is_pending(proofs, proof):
        return proofs
    current, *others = proofs.split(" ")
    pending = [part for part in others if ":" not in part and not _is_sibling(part)]
    siblings = [part.removesuffix(_SIBLING) for part in others if _is_sibling(part)]
    leaving = [part for part in others if now < _moment(part.partition(":")[2])]
    if proof in pending:
        # It was handed out after the current secret had arrived.
        leaving[:0] = [f"{current}:{now + grace}"] if grace else []
    else:
        siblings.append(current)
    # Handed out before this secret was seen, they may arrive after it.
    marked = [part + _SIBLING for part in (*siblings, *pending) if part != proof]
    return " ".join([proof, *marked, *leaving[:_MOST_LEAVING]])


def settled(proofs: str, *, now: int, grace: int) -> str:
    """Have all but the current secret leave after the grace.

    For when a request has the current secret long after the last was handed out.

    :param grace: In milliseconds.
    """
    if len(proofs) == _HASH:
        return proofs
    current, *others = proofs.split(" ")
    kept = [part.removesuffix(_SIBLING) for part in others if ":" not in part]
    leaving = [f"{part}:{now + grace}" for part in kept] if grace else []
    leaving += [part for part in others if now < _moment(part.partition(":")[2])]
    return " ".join([current, *leaving[:_MOST_LEAVING]])


def offered(proofs: str, proof: str) -> str:
    """Add the hash of a secret that is handed out."""
    current, *others = proofs.split(" ")
    waiting = [part for part in others if ":" not in part][: _MOST_PENDING - 1]
    leaving = [part for part in others if ":" in part]
    return " ".join([current, proof, *waiting, *leaving])


def _is_sibling(part: str) -> bool:
    return part.endswith(_SIBLING)


def _moment(text: str) -> int:
    return int(text) if text.isdecimal() else 0
