"""Settings, as each part wants them."""

from typing import TYPE_CHECKING

from rookery.kernel.clock import DAY, HOUR, MINUTE, SECOND
from rookery.kernel.ranking import Weights
from rookery.services.moderation.screen import HoldPolicy
from rookery.services.timelines.service import TimelinePolicy
from rookery.services.users.contract import RegistrationMode
from rookery.services.users.rules import UsersPolicy
from rookery.settings import Settings

if TYPE_CHECKING:
    from rookery.gateways.http.limits import Rates


def users_policy(settings: Settings) -> UsersPolicy:
    """Who may have an account, and for how long."""
    return UsersPolicy(
        grace=int(settings.grace_days * DAY),
        session_lifetime=int(settings.session_days * DAY),
        registration=RegistrationMode(settings.registration),
        attempts_per_account=settings.login_attempts_account,
        attempts_per_address=settings.login_attempts_address,
    )


def hold_policy(settings: Settings) -> HoldPolicy:
    """When a tweet is held for a moderator."""
    return HoldPolicy(
        on=settings.hold_suspects,
        posts=settings.hold_posts,
        posts_window=int(settings.hold_posts_minutes * MINUTE),
        duplicates=settings.hold_duplicates,
        duplicates_window=int(settings.hold_duplicates_minutes * MINUTE),
        new_account=int(settings.hold_new_hours * HOUR),
        new_links=settings.hold_new_links,
    )


def timeline_policy(settings: Settings) -> TimelinePolicy:
    """How home timelines are kept."""
    return TimelinePolicy(
        entries=settings.timeline_entries,
        active=int(settings.active_days * DAY),
        famous_refresh=int(settings.famous_refresh_seconds * SECOND),
        push_to_famous=settings.famous_followers != 0,
        busy_hashtag=settings.busy_hashtag_uses,
        shared=bool(settings.redis),
        visits_every=int(settings.upkeep_seconds * SECOND) if settings.redis else 0,
    )


def weights(settings: Settings) -> Weights:
    """What Top goes by."""
    return Weights(
        acts=settings.top_acts,
        kinds=settings.top_kinds,
        engagement=settings.top_engagement,
        affinity_half_life=int(settings.top_affinity_days * DAY),
        decay_half_life=int(settings.top_decay_hours * HOUR),
    )


def rates(settings: Settings) -> "Rates":
    """What a client may ask for in a while."""
    from rookery.gateways.http.limits import Rates

    if not settings.rate_limits:
        return Rates(reads=0, writes=0, guest_reads=0, guest_writes=0)
    return Rates(
        window=settings.rate_window_seconds,
        reads=settings.rate_reads,
        writes=settings.rate_writes,
        guest_reads=settings.rate_guest_reads,
        guest_writes=settings.rate_guest_writes,
        address_factor=settings.rate_address_factor,
    )
