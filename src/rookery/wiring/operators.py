"""What operators are shown: figures, health, how far consumers are, whether timelines are right."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from rookery.infra.telemetry.prometheus import (
    Answer,
    Metric,
    counter,
    counters,
    gauge,
    json_answer,
    operator_pages,
    text_answer,
)
from rookery.wiring.names import CHECK_TIMELINES, EVENTS

if TYPE_CHECKING:
    from rookery.wiring import Network, Readiness


def operator_app(network: "Network", ready: "Readiness") -> Any:
    """The ASGI application that operators talk to: metrics, health, checks of what is in memory."""
    network.metrics.watch(lambda: _figures(network))

    behind: dict[str, float] = {}
    parked: dict[str, int] = {}
    network.metrics.watch(
        lambda: (
            gauge("rookery_event_lag_seconds", "Age of the oldest event a group has yet to handle", "group", behind),
            gauge("rookery_events_parked", "Events that a group could not handle", "group", parked),
        )
    )

    async def metrics(_: Mapping[str, str]) -> Answer:
        # These two ask the store; where it is away, the last figures stand beside those of what is in memory.
        with suppress(Exception):
            behind.update(await network.log.lag_seconds())
            now_parked = await network.log.parked_numbers()
            parked.clear()
            parked.update(now_parked)
        return text_answer(network.metrics.text())

    async def live(_: Mapping[str, str]) -> Answer:
        return json_answer(200, {"status": "ok"})

    async def readiness(_: Mapping[str, str]) -> Answer:
        states = ready()
        return json_answer(200 if all(state == "ok" for state in states.values()) else 503, dict(states))

    async def check_timelines(query: Mapping[str, str]) -> Answer:
        try:
            sample, seed = int(query.get("sample", "50")), int(query.get("seed", "0"))
        except ValueError:
            return json_answer(400, ["sample and seed are numbers"])
        chosen = await network.timelines.sample(max(sample, 0), seed)
        return json_answer(200, await network.timelines.differences(chosen))

    async def events(_: Mapping[str, str]) -> Answer:
        return json_answer(200, msgspec.to_builtins(await network.log.status()))

    return operator_pages(
        {
            "/metrics": metrics,
            "/livez": live,
            "/readyz": readiness,
            CHECK_TIMELINES: check_timelines,
            EVENTS: events,
        }
    )


def _figures(network: "Network") -> Iterable[Metric]:
    """Figures that the parts keep anyway, read when somebody asks."""
    log, timelines = network.log, network.timelines
    yield counter("rookery_events_appended", "Events appended by this process", "event", log.appended)
    yield gauge("rookery_event_lag", "Events that a group has yet to handle", "group", log.lags())
    yield counter("rookery_event_failures", "Failed tries of a group's handler", "group", log.failures())
    yield counter(
        "rookery_deliveries", "Entries put into cached timelines", "by", {"processor": network.processor.deliveries}
    )
    yield counter("rookery_timeline_reads", "Home timeline reads by path", "path", timelines.reads)
    if (memory := network.engines.timelines_in_memory) is not None:
        yield gauge("rookery_timeline_bytes", "Memory of cached timelines", "in", {"memory": memory.nbytes})
    yield counter("rookery_tweets_held", "Tweets held for a moderator", "rule", network.screening.held)
    yield counter(
        "rookery_top_reads", "First pages of Top by whether their ranking was there", "ranking", network.top.reads
    )
    rankings = {"memory": len(network.top.kept)}
    yield gauge("rookery_top_rankings", "Rankings that are kept", "in", rankings)
    yield counter("rookery_top_ahead", "Rankings made before they were asked for", "by", {"worker": network.top.ahead})
    yield counter("rookery_interests_lost", "Notes of interest without room", "in", {"memory": network.interests.lost})
    live, delivery = network.live, network.deliveries
    yield gauge("rookery_streams", "Open streams", "in", {"process": live.hub.count})
    yield gauge("rookery_people_live", "People with an open stream", "in", {"process": live.people})
    yield counter("rookery_stream_messages", "Messages told over streams", "kind", live.figures.messages)
    yield counter(
        "rookery_streams_dropped", "Times that a slow reader was sent to the log", "to", {"log": live.figures.dropped}
    )
    yield counter("rookery_streams_back", "Streams that came back with an offset", "as", live.figures.replayed)
    yield counter("rookery_live_deliveries", "Entries told to live people", "by", {"processor": delivery.told})
    replica = getattr(network.database, "replica", None)
    yield counter("rookery_replica_reads", "Reads that bear lag", "server", {} if replica is None else replica.reads)
    lag = {} if replica is None else {"replica": replica.lag()}
    yield gauge("rookery_replica_lag_seconds", "It has all that the primary had so long ago", "of", lag)
    watchdog = network.watchdog
    yield counters("rookery_worker_restarts", "Restarts of background workers", ("worker", "reason"), watchdog.restarts)
    yield gauge("rookery_worker_silence_seconds", "Time at work without a sign of life", "worker", watchdog.silences())
    yield counter("rookery_loop_stalls", "Times that it stood still", "of", network.loop_guard.stalls)
    caches = network.figures.caches
    yield counter("rookery_cache_hits", "Cache hits", "cache", {name: one.hits for name, one in caches.items()})
    yield counter("rookery_cache_misses", "Cache misses", "cache", {name: one.misses for name, one in caches.items()})
    yield gauge("rookery_cache_entries", "Entries cached", "cache", {name: len(one) for name, one in caches.items()})
