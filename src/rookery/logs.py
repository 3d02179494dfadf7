"""The log: what the program and the libraries under it have to say, on standard error, one form for all of it."""

import logging
import sys
import threading
from collections.abc import MutableMapping
from typing import Any, Final

_PRIVATE: Final = frozenset(
    ("authorization", "body", "cookie", "email", "headers", "password", "query", "secret", "token")
)
"""Names under which nothing is logged, whoever tries."""


class _Stderr:
    """Standard error, whatever that is at the moment."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


class _Handler(logging.StreamHandler[Any]):
    """Ours among the handlers of the standard library's log."""


def log_to_stderr(form: str, level: str) -> None:
    """Log there, in the form `console` or `json`, from `level` on. Libraries are heard from warnings on, or with `debug`.

    In JSON each line is an object: `event` is what happened, `level`, `timestamp`, and what else there is to tell. Lines of
    libraries, warnings, and errors that end a thread or nobody awaits come in the same form.
    """
    import structlog

    human = form == "console"
    number = logging.getLevelNamesMapping()[level.upper()]
    common: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_secrets,
    ]
    render: list[Any] = (
        # Plain tracebacks: the other ones show local variables, passwords and tokens among them.
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)]
        if human
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    stream: Any = _Stderr()
    structlog.configure(
        processors=[*common, *render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(stream),
    )
    handler = _Handler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *common],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(number if level == "debug" else max(number, logging.WARNING))
    # Its warnings are of errors that it ignores because it raises others, which are told in our words.
    logging.getLogger("psycopg").setLevel(number if level == "debug" else max(number, logging.ERROR))
    logging.captureWarnings(True)
    threading.excepthook = _thread_died
    sys.unraisablehook = _lost


def _without_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in _PRIVATE & event.keys():
        event[name] = "…"
    return event


def _thread_died(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit or args.exc_value is None:
        return
    name = args.thread.name if args.thread is not None else ""
    logging.getLogger("rookery").error("a thread died: %s", name, exc_info=args.exc_value)


def _lost(args: Any) -> None:
    logging.getLogger("rookery").error("an error was lost: %s", args.err_msg or "", exc_info=args.exc_value)
