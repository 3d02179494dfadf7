"""Every command of Rookery, by name. What they do stands in `rookery.commands`, a module for each subject."""

import os
import sys

import typer

from rookery import __version__
from rookery.commands import backups, moving, servers, upkeep
from rookery.commands.accounts import users
from rookery.commands.cluster import cluster
from rookery.commands.common import Json
from rookery.commands.events import events
from rookery.commands.imports import imports
from rookery.commands.moderation import blocklists, list_audit, moderate_users
from rookery.terminal import answer, fail_by

app = typer.Typer(
    name="rookery",
    help="A Twitter that anyone can run.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(servers.serve)
app.command()(servers.demo)
app.add_typer(cluster, name="cluster")
app.add_typer(imports, name="import")
app.command()(backups.backup)
app.command()(backups.restore)
app.command()(moving.migrate)
moderate_users(users)
app.add_typer(users, name="user")
app.add_typer(events, name="events")
app.add_typer(blocklists, name="blocklist")
app.command("audit")(list_audit)
app.add_typer(upkeep.rebuilds, name="rebuild")
app.command()(upkeep.check)


@app.command()
def version(as_json: Json = False) -> None:
    """Tell which Rookery this is."""
    answer(as_json, {"version": __version__}, [__version__])


def main() -> None:
    """Run the command that the arguments name. Errors are one line on standard error, and exit code 1."""
    try:
        app()
    except BrokenPipeError:
        # Whoever read the answer had enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get("ROOKERY_LOG_LEVEL") == "debug":
            raise
        fail_by(error)
