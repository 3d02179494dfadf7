"""Which engine keeps the objects of a URL."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rookery.infra.objects.folder import FolderObjects
from rookery.infra.objects.port import Objects, check_key
from rookery.kernel.errors import Invalid

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def open_objects(url: str) -> Objects:
    """The objects at `url`: a path or `file:///…` for a folder, `s3://bucket/prefix` for a bucket.

    Raises Invalid for any other URL.
    """
    if not url.strip():
        raise Invalid("say where: a folder, file:///… or s3://bucket/prefix")
    if "://" not in url:
        return FolderObjects(Path(url))
    try:
        parts = urlsplit(url)
    except ValueError:
        raise Invalid("the URL can't be read") from None
    if "@" in parts.netloc or parts.query or parts.fragment:
        # Whatever stands there may be a secret: it is not repeated.
        raise Invalid("a URL names the place only; credentials are taken from the environment")
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or parts.path in ("", "/"):
            raise Invalid("a folder's URL is file:///path/to/it, not {url}", url=url)
        return FolderObjects(Path(unquote(parts.path)))
    if parts.scheme == "s3":
        prefix = parts.path.strip("/")
        if not _BUCKET.fullmatch(parts.netloc) or not _can_be_prefix(prefix):
            raise Invalid("a bucket's URL is s3://bucket/prefix, not {url}", url=url)
        # What talks to S3 takes long to load, and folders do without.
        from rookery.infra.objects.s3 import S3Objects

        return S3Objects(parts.netloc, prefix)
    raise Invalid("objects are kept in a folder or in s3://…, not in {scheme}://…", scheme=parts.scheme)


def _can_be_prefix(prefix: str) -> bool:
    try:
        return not prefix or bool(check_key(prefix))
    except ValueError:
        return False
