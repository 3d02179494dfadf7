"""What is wrong with a network's data."""

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rookery.wiring.names import CHECK_TIMELINES, SERVER_FILE

if TYPE_CHECKING:
    from rookery.wiring import Network


async def check(network: "Network", *, sample: int, seed: int) -> list[str]:
    """What is wrong with the data, in sentences; none where all is well.

    The file itself, page by page; counts against rows, both directions of follows, and up to `sample` home timelines against the
    truth: those that the running server has cached, or else those of people chosen at random.
    """
    if found := await asyncio.to_thread(network.database.verify):
        return found  # what can't be read can't be compared
    for store in (network.users_store, network.graph_store, network.tweet_store):
        found += [str(difference) for difference in await store.check(100)]
    asked = await asyncio.to_thread(ask_server, network.settings.data, f"{CHECK_TIMELINES}?{sample=}&{seed=}")
    if asked is not None:
        return found + asked
    await network.start()
    return found + await network.timelines.differences(await network.users_store.sample(sample, seed))


def ask_server(folder: Path, path: str) -> Any:
    """The answer, from JSON, of the server that runs on the folder; None where none does."""
    try:
        known = json.loads((folder / SERVER_FILE).read_text())
        with urllib.request.urlopen(f"http://{known['metrics']}{path}", timeout=60) as answer:
            return json.load(answer)
    except (OSError, KeyError, ValueError):
        return None
