"""What the demo keeps in the data folder beside the network: its plan, and the log-in."""

import os
from pathlib import Path
from secrets import token_urlsafe
from typing import Final

import msgspec

from rookery.gateways.demo.fill import Plan
from rookery.gateways.demo.people import DEMO
from rookery.kernel.errors import Conflict

_STATE: Final = "demo.json"
_LOGIN: Final = "demo-login"


class _State(msgspec.Struct):
    plan: Plan
    complete: bool


class DemoFolder:
    """A data folder that holds the demo network, or will."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._state = folder / _STATE
        self._login = folder / _LOGIN

    @property
    def complete(self) -> bool:
        """Whether the whole network is there."""
        state = self._read()
        return state is not None and state.complete

    @property
    def plan(self) -> Plan:
        """What the network was made by. Only for a folder that holds one."""
        state = self._read()
        assert state is not None
        return state.plan

    def begin(self, plan: Plan, database: str) -> Plan:
        """The plan to be carried out: `plan`, or that of a beginning that was interrupted.

        Raises Conflict where the folder holds a network that is not the demo, in a file called `database`.
        """
        if (state := self._read()) is not None:
            return state.plan
        if (self._folder / database).exists():
            raise Conflict(
                "the folder {folder} holds a network that is not the demo; "
                "`rookery serve` serves it, and --data names another folder for the demo",
                folder=str(self._folder),
            )
        self._write(_State(plan, complete=False))
        return plan

    def completed(self, plan: Plan) -> None:
        """Everything of `plan` is there."""
        self._write(_State(plan, complete=True))

    def login(self) -> tuple[str, str]:
        """The demo account's handle and password; made at the first call, and kept where nobody but the owner reads it."""
        try:
            password = self._login.read_text("utf-8").rpartition(" ")[2].strip()
        except FileNotFoundError:
            password = token_urlsafe(9)
            self._replace(self._login, f"{DEMO} {password}\n".encode(), 0o600)
        return DEMO, password

    def _read(self) -> _State | None:
        try:
            return msgspec.json.decode(self._state.read_bytes(), type=_State)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as error:
            raise Conflict("the file {file} can't be read", file=str(self._state)) from error

    def _write(self, state: _State) -> None:
        self._replace(self._state, msgspec.json.encode(state) + b"\n", 0o644)

    def _replace(self, path: Path, data: bytes, mode: int) -> None:
        """Write a file so that it is there whole or not at all, whenever the machine stops."""
        part = path.with_name(path.name + ".part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
