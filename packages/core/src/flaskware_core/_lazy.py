from __future__ import annotations

import collections.abc as cabc
import importlib
import sys
import typing as t


def lazy_names(
    package: str, modules: cabc.Mapping[str, cabc.Sequence[str]]
) -> tuple[cabc.Callable[[str], t.Any], cabc.Callable[[], list[str]]]:
    """Export names of a package whose modules are imported when one is asked for.

    Write it into ``__init__.py``, beside the imports that a type checker reads::

        if t.TYPE_CHECKING:
            from ._memcached import MemcachedStore as MemcachedStore
        else:
            __getattr__, __dir__ = lazy_names(
                __name__, {"_memcached": ["MemcachedStore"]}
            )

    Nobody who uses the package can tell. It is for what most apps never use and what
    takes long to import.

    :param package: ``__name__`` of the package.
    :param modules: By module in the package: the names it exports.
    :return: What Python asks a module for a name it lacks, and for all of its names.
    """
    homes = {name: module for module, names in modules.items() for name in names}
    namespace = vars(sys.modules[package])

    def find(name: str) -> t.Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(f".{homes[name]}", package)
        return namespace.setdefault(name, getattr(module, name))

    return find, lambda: sorted({*namespace, *homes})
