"""One agent: opens the store, chooses the configuration, runs it, and shuts everything down in the right order."""

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Any

from agent import __version__
from agent.app import crash_loop
from agent.app.clock_watch import ClockWatch
from agent.app.crash_loop import CrashLoop
from agent.app.io.fault_file import FaultFile
from agent.app.io.sd_notify import Notifier
from agent.app.runtime import Handlers, Runtime
from agent.app.watchdog import Watchdog
from agent.base import events
from agent.base.codes import LogCode, log_extra
from agent.base.i18n import _
from agent.base.io import clock
from agent.base.io.atomic_files import AtomicDirectory
from agent.base.io.state_dir import StateDir, board_serial
from agent.base.status_views import status_line
from agent.config.io.local_files import LocalFiles
from agent.delivery.io.broker_connections import BrokerConnections
from agent.delivery.io.client_certificate import ClientCertificate
from agent.store.store import Store
from agent.update.io.update_store import UpdateStore
from agent.update.parts import UpdateParts
from agent.update.ports import Catalog
from agent.update.start import NoConfiguration
from agent.update.timings import UpdateTimings
from agent.update.updater import Updater

_log = logging.getLogger(__name__)

_STOP_S = 4.5
"""The agent must stop within 5 s, whatever a driver, the disk or the broker does."""
_FLUSH_S = 1.0
_GOODBYE_S = 2.5
_STARTS = "starts"
TIMINGS = UpdateTimings()
"""Time limits of configuration updates."""


class Fault(Exception):
    """A part of the agent ended that must never end: an internal error."""


class Supervisor:
    """Runs one agent on one state directory. ``stop`` and ``reload`` may be called at any time, from the event loop."""

    def __init__(self, file: Path, state_dir: StateDir, catalog: Catalog) -> None:
        self._file = file
        self._state_dir = state_dir
        self._catalog = catalog
        self._stopping = asyncio.Event()
        self._parts: UpdateParts | None = None

    def stop(self) -> None:
        """Make :meth:`run` shut down cleanly."""
        self._stopping.set()

    def reload(self) -> None:
        """Read the gateway's own files again."""
        if self._parts is not None:
            self._parts.inbox.reload()

    async def run(self) -> None:
        """Run until :meth:`stop`. Raises :class:`~agent.store.io.errors.StoreNewer`,
        :class:`~agent.update.start.NoConfiguration`, and :class:`Fault`."""
        now, boot_id = clock.Clock(), clock.boot_id()
        fault = FaultFile(self._state_dir.path)
        before = crash_loop.decoded(self._state_dir.read(_STARTS), boot_id)
        if fault.pop():
            before = before.after_fault()
            self._count(before)
        fault.watch()
        try:
            await self._run(now, boot_id, before)
        except NoConfiguration:  # not a crash: systemd does not restart the agent
            raise
        except Exception as error:
            fault.record(repr(error))
            raise
        finally:
            fault.close()

    async def _run(self, now: clock.Clock, boot_id: str, before: CrashLoop) -> None:
        if before.wait_s and await self._stopped_within(before.wait_s):
            self._count(CrashLoop(boot_id))  # someone stopped it and may be repairing it
            return
        notifier = Notifier()
        update_store = UpdateStore(
            AtomicDirectory(self._state_dir.path / "config"), lambda: now.now().mono_ms / 1000, TIMINGS.settle_s
        )
        parts = self._parts = UpdateParts.of(update_store, LocalFiles(self._file), self._catalog, now, TIMINGS)
        chosen = await parts.choose()
        config = chosen.resolved.settings
        clock_watch = ClockWatch(now, boot_id)
        store = await Store.open(
            self._state_dir.path / config.store.path,
            config.store.max_bytes,
            config.store.commit_s,
            boot_id,
            board_serial(),
            now.now,
            clock_watch.begin,
        )
        deadline_s = asyncio.get_running_loop().time()
        try:
            runtime = self._runtime(store, now, boot_id, parts)
            await runtime.change(chosen.resolved.without_sensors() if before.safe else chosen.resolved)
            runtime.safe_mode = before.safe
            self._announce_start(store, before.safe)
            updater = Updater(parts, runtime, store, chosen)
            clock_watch.on_set = runtime.wake
            notifier.ready()
            tasks = [
                asyncio.create_task(updater.run(), name="updates"),
                asyncio.create_task(self._reset_crash_loop(boot_id, before.safe, runtime, updater), name="starts"),
                asyncio.create_task(clock_watch.run(), name="clock"),
            ]
            if notifier.enabled:
                watchdog = _watchdog(notifier, runtime, store)
                tasks.append(asyncio.create_task(watchdog.run(), name="watchdog"))
            await self._until_stopped(runtime, [store.task, *tasks])
            notifier.stopping()
            clock_watch.save()
            deadline_s = await self._shut_down(runtime, store, updater, tasks)
            self._count(CrashLoop(boot_id))
        finally:
            left_s = max(0.3, deadline_s - asyncio.get_running_loop().time())
            if not await store.close(left_s):
                line = _("the disk did not respond; the last readings may not have been written")
                if store.unwritten:
                    line = _("{n} readings were neither written to disk nor delivered").format(n=store.unwritten)
                _log.error(line, extra=log_extra(LogCode.ROWS_LEFT))

    def _runtime(self, store: Store, now: clock.Clock, boot_id: str, parts: UpdateParts) -> Runtime:
        certificate = ClientCertificate(self._state_dir.path / "certificates")
        handlers = Handlers(parts.inbox.on_message, parts.trust.open_command, parts.examiner.plan)
        return Runtime(store, self._state_dir, now, boot_id, certificate, BrokerConnections(certificate), handlers)

    def _announce_start(self, store: Store, safe: bool) -> None:
        store.announce(events.started(__version__, "start"))
        if safe:
            line = _("the agent crashed 5 times in a row; running without sensors for 1 hour (safe mode)")
            _log.critical(line, extra=log_extra(LogCode.SAFE_MODE))
            store.announce(events.safe_mode())
        if self._state_dir.failed:
            store.announce(events.state_dir_failed(self._state_dir.failed))

    async def _stopped_within(self, seconds: float) -> bool:
        line = _("the previous run crashed; starting in {n:.0f} s").format(n=seconds)
        _log.warning(line, extra=log_extra(LogCode.CRASH_LOOP))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    def _count(self, count: CrashLoop) -> None:
        with contextlib.suppress(OSError):  # the store reports a disk that cannot be written
            self._state_dir.write(_STARTS, count.encoded())

    async def _reset_crash_loop(self, boot_id: str, safe: bool, runtime: Runtime, updater: Updater) -> None:
        """Reset the crash count once this run has lasted long enough; then leave safe mode after its time."""
        await asyncio.sleep(crash_loop.QUICK_S)
        self._count(CrashLoop(boot_id))
        if safe:
            await asyncio.sleep(crash_loop.SAFE_S - crash_loop.QUICK_S)
            if not runtime.sensors:
                _log.warning(
                    _("leaving safe mode: starting the sensors again"), extra=log_extra(LogCode.SAFE_MODE_LEFT)
                )
                await runtime.change(updater.running)
        await asyncio.Event().wait()

    async def _until_stopped(self, runtime: Runtime, own: "list[asyncio.Task[Any]]") -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        while not stopping.done():
            tasks: list[asyncio.Task[Any]] = [*own, *runtime.tasks]
            await asyncio.wait((stopping, *tasks), return_when=asyncio.FIRST_COMPLETED, timeout=1.0)
            for task in tasks:
                # A change of the configuration may have ended and replaced the runtime's tasks meanwhile.
                if task.done() and (task in runtime.tasks or task in own) and not stopping.done():
                    stopping.cancel()
                    why = "cancelled" if task.cancelled() else repr(task.exception())
                    raise Fault(f"{task.get_name()}: {why}")

    async def _shut_down(
        self, runtime: Runtime, store: Store, updater: Updater, tasks: "list[asyncio.Task[None]]"
    ) -> float:
        """Stop the sensors first, so that no new readings arrive; then flush the store, then leave the broker.

        Returns the loop time by which the store must be closed.
        """
        deadline_s = asyncio.get_running_loop().time() + _STOP_S
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await updater.close()
        await runtime.stop_sensors()
        store.announce(events.stopped("shutdown"))
        store.skip_disk_grace()
        flush = asyncio.create_task(store.flush())
        await asyncio.wait((flush,), timeout=_FLUSH_S)
        flush.cancel()
        await asyncio.gather(flush, return_exceptions=True)
        await runtime.close(_GOODBYE_S)
        return deadline_s


def _watchdog(notifier: Notifier, runtime: Runtime, store: Store) -> Watchdog:
    def uplink_progress_s() -> float:
        assert runtime.uplink is not None
        runtime.uplink.wake()
        return runtime.uplink.last_step_s

    return Watchdog(notifier, store.probe, uplink_progress_s, lambda: status_line(runtime.status()))
