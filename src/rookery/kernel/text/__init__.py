"""A tweet's text by the rules of twitter-text, version 3: its entities, its weighted length, its flaws. No I/O."""

from .extract import Cashtag, Entities, Hashtag, Mention, Url, entities, hashtag_key, reply_handle
from .validate import is_handle, is_hashtag, is_list, is_url
from .weigh import LIMIT, VERSION_1, VERSION_2, VERSION_3, Flaw, Rules, Weight, flaw, normal, weigh

__all__ = [
    "LIMIT",
    "VERSION_1",
    "VERSION_2",
    "VERSION_3",
    "Cashtag",
    "Entities",
    "Flaw",
    "Hashtag",
    "Mention",
    "Rules",
    "Url",
    "Weight",
    "entities",
    "flaw",
    "hashtag_key",
    "is_handle",
    "is_hashtag",
    "is_list",
    "is_url",
    "normal",
    "reply_handle",
    "weigh",
]
