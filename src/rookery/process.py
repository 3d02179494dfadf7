"""How the process behaves as a whole."""

import gc


def settle_garbage_collection() -> None:
    """Spare what is here to stay from garbage collection, and look for cycles seldom.

    A collection of the oldest generation walks every container in the caches: hundreds of milliseconds in which nobody is
    answered. What caches hold has no cycles (its structs are not even tracked), so little is found by looking often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
