"""Which route a path belongs to."""

from collections.abc import Iterable, Mapping

from rookery.gateways.http.errors import WrongMethod, no_such_route
from rookery.gateways.web.visits import Route


class _Node:
    __slots__ = ("fixed", "named", "routes")

    def __init__(self) -> None:
        self.fixed: dict[str, _Node] = {}
        self.named: tuple[str, _Node] | None = None
        self.routes: dict[str, Route] = {}


class Router:
    """All routes, as a tree of the parts of their paths; a fixed part goes before a parameter."""

    def __init__(self, routes: Iterable[Route]) -> None:
        """Raises ValueError where two routes have the same address, or one parameter has two names."""
        self._root = _Node()
        for route in routes:
            node = self._root
            for part in route.path.strip("/").split("/"):
                node = _step(node, part)
            if node.routes.setdefault(route.method, route) is not route:
                raise ValueError(f"{route.method} {route.path} is there twice")

    def find(self, method: str, path: str) -> tuple[Route, Mapping[str, str]]:
        """The route and the path's parameters. Raises NotFound, or WrongMethod where the path is there for another method."""
        params: dict[str, str] = {}
        node = self._root
        for part in path[1:].split("/"):
            if (fixed := node.fixed.get(part)) is not None:
                node = fixed
            elif node.named is not None and part:
                params[node.named[0]] = part
                node = node.named[1]
            else:
                raise no_such_route()
        if (route := node.routes.get(method)) is not None:
            return route, params
        if node.routes:
            raise WrongMethod("{method} is not offered here", method=method)
        raise no_such_route()


def _step(node: _Node, part: str) -> _Node:
    if not part.startswith("{"):
        return node.fixed.setdefault(part, _Node())
    name = part.strip("{}")
    if node.named is None:
        node.named = (name, _Node())
    if node.named[0] != name:
        raise ValueError(f"a parameter is called {name} and {node.named[0]}")
    return node.named[1]
