"""How the process behaves as a whole."""

import gc
import resource
from typing import Final

_OTHER_FILES: Final = 512
"""Open files beside connections: the database, logs, connections that are told that there is no place."""

_MOST: Final = 20_000
"""Connections that there may be where nobody says otherwise: at most some hundred MiB of memory."""


def most_connections() -> int:
    """How many connections this process can hold, its limit of open files raised as far as it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    files = wanted if soft == resource.RLIM_INFINITY else min(soft, wanted)
    return max(files - _OTHER_FILES, files // 2)


def settle_garbage_collection() -> None:
    """Spare what is here to stay from garbage collection, and look for cycles seldom.

    A collection of the oldest generation walks every container in the caches: hundreds of milliseconds in which nobody is
    answered. What caches hold has no cycles (its structs are not even tracked), so little is found by looking often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
