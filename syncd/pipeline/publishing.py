"""What the service does each minute for those who watch it: one look, the metrics, the notices."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, StoreError
from ..logs import get_log
from ..model import Event
from .installation import Installation
from .metrics import Counters, Family, families, text_of
from .noticing import look as look_for_notices
from .watching import Due, Standing, standing

if TYPE_CHECKING:
    from datetime import datetime
    from threading import Thread
    from wsgiref.simple_server import WSGIServer

    from ..distribution import Lane

log = get_log("syncd.watching")


class Watch:
    """Looks, and tells what it saw: a file for the collector, a port of this machine, the observers.

    One for the life of the service, used by the thread that owns the database. ``since`` is when the
    service began.
    """

    def __init__(self, since: datetime) -> None:
        self.since = since
        self._counters = Counters()
        self._listener: Listener | None = None
        self._unwritten = ""

    def look(
        self,
        here: Installation,
        *,
        due: Due | None = None,
        lanes: Iterable[Lane] = (),
        reload_ok: bool = True,
    ) -> Standing:
        """Look at everything, publish the metrics, tell the notices that are due; return what was seen.

        ``here`` may be another one after a reload. May be called while a run is under way, so that the
        heartbeat goes on; within a transaction no notices are told. A file that cannot be written, or a port that cannot be
        had, is logged once and tried again at the next look; whatever else fails is the caller's.
        """
        stands = standing(here, due=due, lanes=lanes, since=self.since)
        self._counters.look(here.database)
        found = families(stands, self._counters, reload_ok=reload_ok)
        try:
            self._publish(here, found)
            self._unwritten = ""
        except (OSError, ConfigError, StoreError) as error:
            if self._unwritten != str(error):
                log.warning("metrics_unpublished", error=str(error))
            self._unwritten = str(error)
        if not here.database.conn.in_transaction:  # else they are told by the next look
            self._tell(here, stands)
        return stands

    def stop(self) -> None:
        """Let go of the port; harmless when repeated. The file stays, and grows old."""
        if self._listener is not None:
            self._listener.stop()
            self._listener = None

    def _tell(self, here: Installation, stands: Standing) -> None:
        for event in look_for_notices(here.database, stands):
            _log(event)
            here.plugins.hooks.observe(event)

    def _publish(self, here: Installation, found: Sequence[Family]) -> None:
        settings = here.settings.metrics
        if settings.textfile is not None:
            write_textfile(settings.textfile, text_of(found))
        if self._listener is not None and self._listener.address != settings.listen:
            self.stop()
        if self._listener is None and settings.listen is not None:
            self._listener = Listener(*settings.listen)
        if self._listener is not None:
            self._listener.show(found)


def _log(event: Event) -> None:
    fields = event.fields
    if fields["severity"] == "ok":
        log.info("notice_told", notice=event.name, **fields)
    else:
        log.warning("notice_told", notice=event.name, **fields)


class Listener:
    """A port of this machine on which the metrics that were shown last can be read; it looks up nothing itself.

    Raises ConfigError if prometheus-client is not installed, StoreError if the port cannot be had.
    """

    def __init__(self, host: str, port: int) -> None:
        try:
            from prometheus_client import CollectorRegistry, start_http_server
        except ImportError as error:
            raise ConfigError(
                "metrics.listen needs the library prometheus-client; install it with: "
                "pip install 'syncd[metrics]', or use metrics.textfile, which needs nothing"
            ) from error
        self.address = host, port
        self._found: Sequence[Family] = ()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        try:
            started: tuple[WSGIServer, Thread] = start_http_server(port, host, registry)
        except OSError as error:
            raise StoreError(f"metrics.listen: {host} port {port}: {error.strerror or error}") from error
        self._server, self._thread = started

    def show(self, found: Sequence[Family]) -> None:
        """Let these be read from now on."""
        self._found = found

    def collect(self) -> Iterator[Any]:
        """Yield the metrics as prometheus-client wants them; called by its own threads."""
        from prometheus_client import Metric

        for family in self._found:
            metric = Metric(family.name.removesuffix("_total"), family.help, family.kind)
            for labels, value in family.samples:
                metric.add_sample(family.name, dict(labels), value)
            yield metric

    def stop(self) -> None:
        """Let go of the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def write_textfile(path: Path, text: str) -> None:
    """Put a file in place that everybody may read, whole or not at all. Raises OSError."""
    fresh = path.with_name(f".{path.name}.new")  # collectors take what ends in .prom
    fresh.unlink(missing_ok=True)
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with os.fdopen(file, "w", encoding="utf-8") as written:
        os.fchmod(file, 0o644)  # whatever the umask says
        written.write(text)
    fresh.replace(path)
