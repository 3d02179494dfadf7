"""What many shapes share: ids, moments, cursors, and values that are one of a few words."""

from typing import Annotated, Literal

from msgspec import Meta

ID_PATTERN = "^[1-9][0-9]{0,18}$"

Id = Annotated[str, Meta(description="An id: decimal digits.", extra_json_schema={"pattern": ID_PATTERN})]
Moment = Annotated[str, Meta(description="RFC 3339, UTC, milliseconds.", extra_json_schema={"format": "date-time"})]
Cursor = Annotated[
    str, Meta(description="A cursor: opaque to clients.", extra_json_schema={"pattern": "^[0-9]{1,19}$"})
]
Visibility = Literal["public", "unlisted", "followers", "mentioned"]
ReplyRule = Annotated[
    Literal["everyone", "followers", "mentioned"],
    Meta(
        description="Who may answer in the conversation that it begins, beside its author and whom it mentions; "
        "null for answers, which follow the first tweet's."
    ),
]
Role = Literal["person", "moderator", "admin"]
State = Literal["active", "deactivated", "suspended", "limited", "erased", "pending"]
