"""What is answered to a call: the methods of the interface, and those that every Varlink service has."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..logs import get_log
from .calls import Call, Ear, Execute, Terminal
from .parameters import BadParameter, Parameters
from .peers import Peer, Rights
from .verbs import CHANGE, LEVELS, LOOK, verb_of

if TYPE_CHECKING:
    from varlink import Service as Described

log = get_log("syncd.control")

INTERFACE = "org.syncd"
_VARLINK = "org.varlink.service"
_LARGEST_DOCUMENT = 16 * 1024 * 1024

NOT_PERMITTED, BUSY, FAILED = 77, 75, 70


class Refused(Exception):
    """The answer is an error; ``reply`` is how it is said."""

    def __init__(self, name: str, **parameters: Any) -> None:
        self.reply = {"error": name, "parameters": parameters}
        super().__init__(name)


def refused(name: str, message: str, exit_code: int) -> Refused:
    """Return one of the interface's own errors."""
    return Refused(f"{INTERFACE}.{name}", message=message, exit_code=exit_code)


@dataclass(frozen=True)
class Service:
    """Answers calls. ``execute`` carries out verbs; ``status`` is what the service does at the moment.

    ``reload`` reads the configuration anew and returns why it was refused, if it was. ``rights`` are those
    of the configuration in force.
    """

    execute: Execute
    status: Callable[[], Mapping[str, Any]]
    reload: Callable[[], str | None]
    rights: Callable[[], Rights]

    @cached_property
    def described(self) -> Described:
        """What can be known of the service without asking for anything."""
        from varlink import Service as Described

        made = Described("syncd", "syncd", version("syncd"), "", str(Path(__file__).parent))
        made.interface(INTERFACE)(object)
        return made

    def stranger(self, peer: Peer) -> dict[str, Any] | None:
        """Return what is told to a peer that may ask for nothing at all; None for all others."""
        try:
            self._require(peer, LOOK, "connect")
        except Refused as error:
            return error.reply
        return None

    def answer(self, message: Mapping[str, Any], peer: Peer, ear: Ear) -> None:
        """Carry out one call and send its replies; a fault becomes an error reply."""
        silent = message.get("oneway") is True
        ear = Nobody() if silent else ear
        try:
            parameters = self._answer(message, peer, ear, more=message.get("more") is True and not silent)
            reply: dict[str, Any] = {"parameters": parameters}
        except Refused as error:
            reply = error.reply
        except BadParameter as error:
            reply = {"error": f"{_VARLINK}.InvalidParameter", "parameters": {"parameter": error.name}}
        except (Exception, SystemExit) as error:  # a plugin's must not cut the connection without a word
            log.exception("control_failed", error=str(error))
            told = f"unexpected {type(error).__name__}; the log of the service says more"
            reply = refused("Failed", told, FAILED).reply
        if not silent:
            ear.put(reply)

    def _answer(self, message: Mapping[str, Any], peer: Peer, ear: Ear, *, more: bool) -> dict[str, Any]:
        method, given = message.get("method"), message.get("parameters")
        if not isinstance(method, str):
            raise Refused(f"{_VARLINK}.InvalidParameter", parameter="method")
        if given is not None and not isinstance(given, dict):
            raise Refused(f"{_VARLINK}.InvalidParameter", parameter="parameters")
        interface, _, name = method.rpartition(".")
        if interface not in self.described.interfaces:
            raise Refused(f"{_VARLINK}.InterfaceNotFound", interface=interface)
        known = self.described.interfaces[interface].members.get(name)
        if not hasattr(known, "in_type"):
            raise Refused(f"{_VARLINK}.MethodNotFound", method=method)
        parameters = Parameters(given or {}, known.in_type.fields)
        if message.get("upgrade"):
            raise BadParameter("upgrade")
        if interface == _VARLINK:
            return self._introspected(name, parameters)
        return self._called(name, parameters, peer, ear, more=more)

    def _introspected(self, name: str, parameters: Parameters) -> dict[str, Any]:
        if name == "GetInfo":
            return dict(self.described.GetInfo())
        wanted = parameters.text("interface")
        if wanted not in self.described.interfaces:
            raise Refused(f"{_VARLINK}.InterfaceNotFound", interface=wanted)
        return dict(self.described.GetInterfaceDescription(wanted))

    def _called(
        self, name: str, parameters: Parameters, peer: Peer, ear: Ear, *, more: bool
    ) -> dict[str, Any]:
        if name == "Status":
            self._require(peer, LOOK, "status")
            return {"status": dict(self.status())}
        if name == "Reload":
            self._require(peer, CHANGE, "reload")
            why = self.reload()
            if why is not None:
                raise refused("Failed", why, 78)
            return {}
        if name != "Command":
            return self._documented(arguments_of(name, parameters), peer, ear, more=more)
        if not more:
            raise Refused(f"{_VARLINK}.ExpectedMore")
        arguments = tuple(parameters.texts("arguments"))
        told = parameters.optional("asked_by", parameters.text)
        call = self._call(arguments, peer, ear, told if peer.uid == 0 else None)
        call.terminal = parameters.optional("terminal", parameters.terminal) or Terminal()
        call.agreed = bool(parameters.optional("agreed", parameters.flag))
        call.watched = call.terminal.messages
        code = self._executed(call, peer)
        return {"exit_code": code, **({"question": call.question} if call.question else {})}

    def _call(self, arguments: tuple[str, ...], peer: Peer, ear: Ear, told: str | None = None) -> Call:
        verb = verb_of(arguments)
        if verb is None:
            words = " ".join(arguments[:2])
            raise refused("Failed", f"{words!r} is no verb that the running syncd carries out", 64)
        self._require(peer, LEVELS[verb], verb)
        actor = f"{told} as {peer.name}" if told and told != peer.name else peer.name
        return Call(arguments, verb, actor, ear, changes=peer.changes(self.rights()))

    def _require(self, peer: Peer, level: str, verb: str) -> None:
        rights = self.rights()
        if peer.changes(rights) if level == CHANGE else peer.looks(rights):
            return
        log.warning("control_denied", verb=verb, actor=peer.name, pid=peer.pid)
        names = rights.operators if level == CHANGE else (*rights.operators, *rights.readers)
        groups = " or ".join(names) or "no group"
        raise refused(
            "NotPermitted", f"{peer.name} may not do this: it is for members of {groups}", NOT_PERMITTED
        )

    def _executed(self, call: Call, peer: Peer) -> int:
        code = self.execute(call)
        if call.looks:
            log.debug("control_called", verb=call.verb, actor=call.actor, pid=peer.pid, exit_code=code)
        else:
            log.info("control_called", verb=call.verb, actor=call.actor, pid=peer.pid, exit_code=code)
        return code

    def _documented(self, arguments: tuple[str, ...], peer: Peer, ear: Ear, *, more: bool) -> dict[str, Any]:
        """Run a verb for a machine, which gets the document and no words."""
        kept = Kept(ear)
        call = self._call(arguments, peer, kept)
        call.agreed, call.document, call.watched = True, True, more
        code = self._executed(call, peer)
        message = "".join(kept.messages).strip() or "nothing was said"
        if kept.size > _LARGEST_DOCUMENT:
            words = " ".join(arguments)
            raise refused("Failed", f"the document is too large for a reply; use 'syncd {words}'", code or 65)
        try:
            document = json.loads("".join(kept.output))
        except ValueError:
            if code:
                raise refused("Busy" if code == BUSY else "Failed", message, code) from None
            return {"exit_code": code}
        return {"exit_code": code, "document": document}


class Nobody:
    """The ear of a call that wants no reply: it is carried out, whether its peer is still there or not."""

    cut = False

    def put(self, document: Mapping[str, Any]) -> None:
        """Drop it."""

    def hint(self, document: Mapping[str, Any]) -> None:
        """Drop it."""


class Kept:
    """An ear for a machine: keeps what was written, and passes on the progress alone."""

    def __init__(self, ear: Ear) -> None:
        self._ear = ear
        self.output: list[str] = []
        self.messages: list[str] = []
        self.size = 0

    @property
    def cut(self) -> bool:
        """Whether nobody listens any more."""
        return self._ear.cut

    def put(self, document: Mapping[str, Any]) -> None:
        """Keep a piece of what the verb writes, unless it is too much already."""
        written = document["parameters"]["output"]
        self.size += len(written["text"])
        if self.size <= _LARGEST_DOCUMENT:
            (self.output if written["stream"] == "stdout" else self.messages).append(written["text"])

    def hint(self, document: Mapping[str, Any]) -> None:
        """Pass it on."""
        self._ear.hint(document)


def arguments_of(method: str, given: Parameters) -> tuple[str, ...]:
    """Return the command line that a method for machines stands for."""
    words, names = _WORDS[method](given)
    return (*words, "--json", *_why(given), "--", *map(str, names))


def _why(given: Parameters) -> list[str]:
    why = given.optional("why", given.text)
    return [] if why is None else [f"--why={why}"]


def _reading(verb: str) -> Callable[[Parameters], tuple[list[str], list[Any]]]:
    def words(given: Parameters) -> tuple[list[str], list[Any]]:
        enterprise = given.optional("enterprise", given.text)
        of = [] if enterprise is None else [f"--enterprise={enterprise}"]
        full = ["--full"] if given.optional("full", given.flag) else []
        return [verb, *of, *full], given.optional("sources", given.texts) or []

    return words


def _apply(given: Parameters) -> tuple[list[str], list[Any]]:
    plan = given.optional("plan", given.text)
    return ["apply", *([] if plan is None else [f"--plan={plan}"])], [given.number("run")]


def _undo(given: Parameters) -> tuple[list[str], list[Any]]:
    return ["undo", *(["--preview"] if given.optional("preview", given.flag) else [])], [given.number("run")]


def _release(given: Parameters) -> tuple[list[str], list[Any]]:
    connection = given.optional("connection", given.text)
    everything = ["--all"] if given.optional("all", given.flag) else []
    of = [] if connection is None else [f"--connection={connection}"]
    return ["queue", "release", *everything, *of], given.optional("operations", given.numbers) or []


def _discard(given: Parameters) -> tuple[list[str], list[Any]]:
    return ["queue", "discard"], given.numbers("operations")


_WORDS: Mapping[str, Callable[[Parameters], tuple[list[str], list[Any]]]] = {
    "Sync": _reading("sync"),
    "Preview": _reading("preview"),
    "Apply": _apply,
    "Undo": _undo,
    "Release": _release,
    "Discard": _discard,
}
