"""A tweet's text as HTML: everything escaped, and what it links to linked."""

from collections.abc import Mapping
from urllib.parse import quote

from markupsafe import Markup, escape

from rookery.kernel.text import Entities

_SHOWN = 40
"""Characters of an address that are shown."""


def linked(content: str, entities: Entities, mentions: Mapping[str, int]) -> Markup:
    """`content` with its addresses, hashtags and cashtags linked, and of handles those in `mentions` (in lower case).

    Places in `entities` count code points. Line breaks are left to the stylesheet.
    """
    if not (entities.urls or entities.mentions or entities.hashtags):
        return escape(content)
    places: list[tuple[int, int, str]] = []
    for url in entities.urls:
        target = url.url if url.url.lower().startswith(("http://", "https://")) else f"https://{url.url}"
        shown = target.partition("://")[2]
        if len(shown) > _SHOWN:
            shown = shown[: _SHOWN - 1] + "…"
        link = Markup('<a href="{}" rel="nofollow noopener ugc" dir="ltr" class="out">{}</a>').format(target, shown)
        places.append((url.start, url.end, link))
    for mention in entities.mentions:
        if mention.handle.lower() in mentions:
            link = Markup('<a href="/@{}"><bdi>{}</bdi></a>').format(
                mention.handle, content[mention.start : mention.end]
            )
            places.append((mention.start, mention.end, link))
    for tag in entities.hashtags:
        link = Markup('<a href="/hashtags/{}"><bdi>{}</bdi></a>').format(
            quote(tag.tag, safe=""), content[tag.start : tag.end]
        )
        places.append((tag.start, tag.end, link))
    parts: list[str] = []
    at = 0
    for start, end, link in sorted(places):
        if start >= at:
            parts += [escape(content[at:start]), link]
            at = end
    parts.append(escape(content[at:]))
    return Markup("").join(parts)
