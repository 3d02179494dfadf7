"""What people and their programs talk to: the gateways, on the services of a network."""

from typing import TYPE_CHECKING, Any

from rookery.infra.telemetry.prometheus import counter, gauge
from rookery.services.archives.contract import Archives
from rookery.services.drafts.contract import Drafts
from rookery.services.graph.contract import Choices, Graph
from rookery.services.live.contract import Live
from rookery.services.moderation.contract import Moderation
from rookery.services.notifications.contract import Notifications
from rookery.services.ops.contract import Ops
from rookery.services.timelines.contract import Timelines, TopTimelines
from rookery.services.tweets.contract import TweetIngestion, TweetReads
from rookery.services.users.contract import EVERYBODY, Users
from rookery.wiring.policies import rates
from rookery.wiring.tracing import traced_app, traced_calls

if TYPE_CHECKING:
    from rookery.wiring import Network, Readiness


def public_app(network: "Network", ready: "Readiness") -> Any:
    """The ASGI application that people and their clients talk to."""
    # Only a server needs a web framework; commands start in half the time without it.
    from rookery.gateways.http.limits import RateLimits
    from rookery.gateways.rest.access import AccessLog
    from rookery.gateways.rest.admission import Admission, Capacity
    from rookery.gateways.rest.app import RestOptions, create_app
    from rookery.gateways.rest.fragments import Fragments
    from rookery.gateways.rest.proxies import FromProxies
    from rookery.gateways.rest.streaming import StreamOptions
    from rookery.gateways.web.app import PageOptions, create_pages

    settings = network.settings
    limits = RateLimits(rates(settings))
    network.metrics.watch(
        lambda: (counter("rookery_requests_limited", "Requests beyond a client's limit", "whose", limits.refused),)
    )
    admission = Admission(
        Capacity(
            wait_seconds=settings.overload_wait_seconds,
            in_flight=settings.in_flight,
            write_seconds=settings.overload_write_seconds,
        )
    )
    network.metrics.watch(
        lambda: (
            counter("rookery_requests_shed", "Requests turned away by overload", "reason", admission.shed),
            gauge("rookery_requests_at_work", "Requests that are being answered", "kind", admission.at_work),
            gauge("rookery_requests_at_work_limit", "What they may be", "kind", {"write": admission.write_limit}),
        )
    )
    network.figures.at_work = lambda: admission.at_work
    fragments = Fragments()
    network.figures.caches["fragments"] = fragments
    # After either: what is cut from the one's memory and the other's is right only once both are fresh.
    network.reads.on_forgetting(fragments.clear)
    network.users.watch(lambda user_id: fragments.clear() if user_id == EVERYBODY else None)
    users = traced_calls(network, network.calls(Users), Users)
    graph = traced_calls(network, network.calls(Graph), Graph)
    choices = traced_calls(network, network.calls(Choices), Choices)
    ingestion = traced_calls(network, network.calls(TweetIngestion), TweetIngestion)
    reads = traced_calls(network, network.reads, TweetReads)
    timelines = traced_calls(network, network.timelines, Timelines)
    top = traced_calls(network, network.top, TopTimelines)
    drafts = traced_calls(network, network.calls(Drafts), Drafts)
    notifications = traced_calls(network, network.calls(Notifications), Notifications)
    moderation = traced_calls(network, network.calls(Moderation), Moderation)
    ops = traced_calls(network, network.calls(Ops), Ops)
    archives = traced_calls(network, network.calls(Archives), Archives)
    live = traced_calls(network, network.live, Live)
    pages = None
    if settings.pages:
        pages = create_pages(
            users=users,
            graph=graph,
            choices=choices,
            ingestion=ingestion,
            reads=reads,
            timelines=timelines,
            top=top,
            drafts=drafts,
            notifications=notifications,
            moderation=moderation,
            ops=ops,
            archives=archives,
            live=live,
            record_interest=network.interests.note,
            clock=network.clock,
            limits=limits,
            options=PageOptions(
                name=settings.name,
                public_reads=settings.public_reads,
                body_limit=settings.body_limit,
                labels=settings.tweet_labels,
                grace_days=settings.grace_days,
            ),
        )
    app = create_app(
        users=users,
        graph=graph,
        choices=choices,
        ingestion=ingestion,
        reads=reads,
        timelines=timelines,
        drafts=drafts,
        moderation=moderation,
        top=top,
        notifications=notifications,
        ops=ops,
        archives=archives,
        live=live,
        streams=network.live if network.runs("live") else None,
        record_interest=network.interests.note,
        clock=network.clock,
        metrics=network.metrics,
        ready=ready,
        options=RestOptions(
            public_reads=settings.public_reads,
            cors_origins=settings.cors_origins,
            body_limit=settings.body_limit,
            streams=StreamOptions(
                settings.live_heartbeat_seconds, settings.live_replay_seconds, settings.live_timeout_seconds
            ),
        ),
        admission=admission,
        limits=limits,
        fragments=fragments,
        access=AccessLog() if settings.access_log else None,
        pages=pages,
    )
    app = traced_app(network, app)
    return FromProxies(app, list(settings.trusted_proxies)) if settings.trusted_proxies else app
