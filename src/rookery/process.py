"""How the process behaves as a whole."""

import gc
import resource
from typing import Final

_OTHER_FILES: Final = 512
"""Open files beside connections: the database, logs, connections that are told that there is no place."""

_USUAL: Final = 20_000
"""Connections that there may be where nobody says otherwise: a few hundred MiB of memory, if peers behave badly."""


def most_connections(wanted: int = 0) -> int:
    """How many connections this process can hold of those that are wanted (0: the usual number).

    Raises the process's limit of open files for it, as far as that may be done.
    """
    wanted = wanted or _USUAL
    needed = wanted + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    files = needed if soft == resource.RLIM_INFINITY else min(soft, needed)
    return min(wanted, max(files - _OTHER_FILES, files // 2))


def settle_garbage_collection() -> None:
    """Spare what is here to stay from garbage collection, and look for cycles seldom.

    A collection of the oldest generation walks every container in the caches: hundreds of milliseconds in which nobody is
    answered. What caches hold has no cycles (its structs are not even tracked), so little is found by looking often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
