"""Things that the child of a fork must leave to its parent."""

from __future__ import annotations

from os import getpid


class ForkGuard:
    """Guard for connections and threads, which a forked process must not share.

    Ask :meth:`in_child` before each use, and replace what was inherited::

        if self._fork.in_child():
            inherited, self._idle = self._idle, []
            self._fork.leave(inherited)

    The process id is compared, since not every server calls the hooks of
    :func:`os.register_at_fork` (uWSGI does so on request only).
    """

    __slots__ = ("_left", "_owner")

    def __init__(self) -> None:
        self._owner = getpid()
        self._left: list[object] = []

    def in_child(self) -> bool:
        """True in the child of a fork, until :meth:`leave` is called."""
        return self._owner != getpid()

    def leave(self, *inherited: object) -> None:
        """Leave things to the parent, and make this process the owner.

        Call it last, once the replacements are in place: other threads stop asking.

        :param inherited: Kept as long as the guard, because closing a connection, as
            its finalizer would, says goodbye on behalf of the parent.
        """
        self._left.extend(inherited)
        self._owner = getpid()
