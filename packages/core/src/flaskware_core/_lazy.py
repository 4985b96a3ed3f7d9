"""Names of a package that are imported on first use."""

from __future__ import annotations

import collections.abc as cabc
import importlib
import sys
import typing as t


def lazy_names(
    package: str, modules: cabc.Mapping[str, cabc.Sequence[str]]
) -> tuple[cabc.Callable[[str], t.Any], cabc.Callable[[], list[str]]]:
    """Export names of a package whose modules are imported on first use.

    Write it into ``__init__.py``, beside the imports that a type checker reads::

        if t.TYPE_CHECKING:
            from ._memcached import MemcachedStore as MemcachedStore
        else:
            __getattr__, __dir__ = lazy_names(
                __name__, {"_memcached": ["MemcachedStore"]}
            )

    Code that uses the package sees no difference. Use it for names that most apps
    never need and that take long to import.

    :param package: ``__name__`` of the package.
    :param modules: The names that each module of the package exports.
    :return: The functions ``__getattr__`` and ``__dir__`` of the package (PEP 562).
    """
    homes = {name: module for module, names in modules.items() for name in names}
    namespace = vars(sys.modules[package])

    def find(name: str) -> t.Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(f".{homes[name]}", package)
        return namespace.setdefault(name, getattr(module, name))

    return find, lambda: sorted({*namespace, *homes})
