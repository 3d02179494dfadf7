"""What the Graph Service does when something happened: it forgets what another process may have changed."""

from collections.abc import Sequence

from rookery.infra.events.port import Appended, EventLog
from rookery.services.graph.contract import (
    BecameFamous,
    Blocked,
    CeasedFamous,
    ConversationMuted,
    ConversationUnmuted,
    EdgesErased,
    FameInterval,
    FiltersChanged,
    Followed,
    FollowsImported,
    HashtagFollowed,
    HashtagUnfollowed,
    Muted,
    Recounted,
    Unblocked,
    Unfollowed,
    Unmuted,
)
from rookery.services.graph.service import GraphService
from rookery.services.ops.contract import ForgetRequested

GROUP = "graph"


def react(log: EventLog, service: GraphService) -> None:
    """Subscribe the service's memory to the graph's events. What this process changed itself was taken over at the commit."""

    async def handle(batch: Sequence[Appended]) -> None:
        for item in batch:
            match item.event:
                case Followed(follower_id=follower, graph_version=version):
                    service.forget((follower,), version)
                case Unfollowed(follower_id=follower, graph_version=version):
                    service.forget((follower,), version)
                case Blocked(blocker_id=blocker, blocked_id=blocked):
                    service.forget((blocker, blocked))
                case Unblocked(blocker_id=blocker, blocked_id=blocked):
                    service.forget((blocker, blocked))
                case Muted(muter_id=muter) | Unmuted(muter_id=muter):
                    service.forget((muter,))
                case HashtagFollowed() | HashtagUnfollowed() as event:
                    service.forget((event.user_id,), event.graph_version)
                case ConversationMuted() | ConversationUnmuted() | FiltersChanged() as event:
                    service.forget((event.user_id,))
                case EdgesErased(other_ids=others):
                    service.forget(others)
                case FollowsImported(follower_ids=followers):
                    service.forget(followers)
                case ForgetRequested():
                    service.forget_all()
                case Recounted(user_ids=people):
                    service.forget(people)
                case BecameFamous(author_id=author, from_id=since):
                    service.note_fame(FameInterval(author, since))
                case CeasedFamous(author_id=author, from_id=since, to_id=to):
                    service.note_fame(FameInterval(author, since, to))
                case _:
                    pass

    log.subscribe(GROUP, ("graph", "ops"), handle)
