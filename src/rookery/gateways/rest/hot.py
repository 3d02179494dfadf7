"""The routes that are called most, found by two look-ups; the framework finds all others."""

from collections.abc import Iterable, Mapping

from rookery.gateways.rest.calls import Operation

_NO_PARAMS: Mapping[str, str] = {}


class HotRoutes:
    """Operations by the method and path of a request."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        """Takes those that are `hot`: paths without parameters, or with one before the last part, as /v1/users/{id}/tweets."""
        self._plain: dict[tuple[str, str], Operation] = {}
        self._inside: dict[tuple[str, str, str], tuple[Operation, str]] = {}
        for one in operations:
            if not one.hot:
                continue
            if "{" not in one.path:
                self._plain[one.method, one.path] = one
                continue
            base, parameter, last = one.path.rsplit("/", 2)
            if "{" in base or "{" in last:
                raise ValueError(f"{one.path} can't be a hot route")
            self._inside[one.method, base, last] = (one, parameter.strip("{}"))

    def find(self, method: str, path: str) -> tuple[Operation, Mapping[str, str]] | None:
        """The operation and the path's parameters; None where the framework is to find out."""
        plain = self._plain.get((method, path))
        if plain is not None:
            return plain, _NO_PARAMS
        parts = path.rsplit("/", 2)
        if len(parts) < 3 or not parts[1]:
            return None
        inside = self._inside.get((method, parts[0], parts[2]))
        return None if inside is None else (inside[0], {inside[1]: parts[1]})
