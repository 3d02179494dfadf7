"""Making old tweets ready for the store: text, entities, mentions, types."""

from collections.abc import Mapping, Sequence

import msgspec

from rookery.infra.sql.port import Value
from rookery.kernel.errors import Invalid, NotFound
from rookery.kernel.ids import LATEST
from rookery.kernel.text import Entities, entities
from rookery.kernel.visibility import public
from rookery.services.tweets.bulk import OldTweet
from rookery.services.tweets.contract import NO_ENTITIES, ImportedEntry, ImportedRevision, ImportedTweet, Revision
from rookery.services.tweets.records import rule_of, said
from rookery.services.tweets.rules import imported_content, is_lang, media_url_flaw, type_of
from rookery.services.users.contract import User

Text = tuple[str, Entities]


def read(tweets: Sequence[ImportedTweet]) -> list[Text]:
    """Each tweet's content as it is kept, and what it refers to."""
    texts: list[Text] = []
    for tweet in tweets:
        content = imported_content(tweet.content)
        texts.append((content, entities(content)))
    return texts


def handles_in(texts: Sequence[Text]) -> list[str]:
    """The handles that are mentioned, in lower case, each once."""
    return list({mention.handle.lower() for _, found in texts for mention in found.mentions if not mention.list_slug})


def mentions_of(found: Entities, people: Mapping[str, User]) -> dict[str, int]:
    """Whom a text mentions, by handle in lower case: accounts that are shown. A mention of somebody's list is none of them."""
    return {
        handle: person.id
        for mention in found.mentions
        if not mention.list_slug
        and (person := people.get(handle := mention.handle.lower())) is not None
        and person.state.shown
    }


def prepare(
    tweets: Sequence[ImportedTweet],
    texts: Sequence[Text],
    authors: Mapping[int, User],
    people: Mapping[str, User],
) -> list[OldTweet]:
    """Tweets ready for the store. A language or an attachment that no tweet may have is left out.

    Raises NotFound for an unknown author, Invalid for a moment that no id can carry.
    """
    made: list[OldTweet] = []
    for tweet, (content, found) in zip(tweets, texts, strict=True):
        author = authors.get(tweet.author_id)
        if author is None:
            raise NotFound("there is no account {id}", id=tweet.author_id)
        check_moment(tweet.created_at)
        media_url = _attachment(tweet.media_url)
        mentions = tweet.mentions
        if mentions is None and found.mentions:
            mentions = mentions_of(found, people)
        counted = public(tweet.visibility, author) if tweet.counted is None else tweet.counted
        columns: dict[str, Value] = {
            "author_id": tweet.author_id,
            "content": content,
            "lang": _language(tweet.lang),
            "visibility": tweet.visibility.value,
            "type": type_of(media_url, found).value,
            "media_url": media_url,
            "reply_to": None,
            "reply_to_user_id": None,
            "root_id": None,
            "quote_of": None,
            "quoted_user_id": None,
            "entities": None if found == NO_ENTITIES else msgspec.json.encode(found).decode(),
            "mentions": msgspec.json.encode(mentions).decode() if mentions else None,
            "counted": int(counted),
            "created_at": tweet.created_at,
            "source": tweet.source,
            "external_id": tweet.external_id,
            "imported_retweets": tweet.retweets,
            "imported_favorites": tweet.favorites,
            "reply_rule": rule_of(tweet.reply_rule),
        }
        hashtags = tuple(dict.fromkeys([tag.key for tag in found.hashtags])) if found.hashtags else ()
        made.append(
            OldTweet(
                tweet.source,
                tweet.external_id,
                tweet.created_at,
                columns,
                tweet.reply_to_external_id,
                hashtags,
                tweet.reply_to,
                tweet.quote_of_external_id,
                tweet.quote_of,
                tweet.edited_at,
                tuple(map(_revision, tweet.revisions)) if tweet.revisions else (),
            )
        )
    return made


def _revision(old: ImportedRevision) -> dict[str, Value]:
    content = imported_content(old.content)
    found = entities(content)
    media_url = _attachment(old.media_url)
    revision = Revision(
        old.at,
        content,
        old.visibility,
        type_of(media_url, found),
        _language(old.lang),
        media_url,
        found,
        old.mentions,
    )
    return {"at": old.at, **said(revision)}


def _attachment(url: str | None) -> str | None:
    return None if url is None or media_url_flaw(url) is not None else url


def _language(tag: str | None) -> str | None:
    return tag if tag is not None and is_lang(tag) else None


def check_moments(entries: Sequence[ImportedEntry]) -> None:
    """Raises Invalid for a moment that no id can carry."""
    for entry in entries:
        check_moment(entry.at)


def check_moment(moment: int) -> None:
    """Raises Invalid for a moment that no id can carry."""
    if moment > LATEST:
        raise Invalid("{field} lies too far in the future", field="created_at", code="invalid_moment")
