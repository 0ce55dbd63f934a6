"""``gardu listen``: a subscriber for people and for pipes."""

import asyncio
import signal
import sys
from argparse import ArgumentParser, Namespace
from secrets import token_hex

from tenacity import wait_random_exponential

from agent.base.display import one_line
from agent.base.i18n import _
from agent.base.retry import retry_forever
from agent.cli.listen_formats import FORMATS, Format
from agent.cli.shared.broker_options import BrokerOptions, add_broker_options
from agent.delivery.connection import ConnectionLost, Message
from agent.fleet.gap_ledger import GRACE_S
from agent.fleet.subscriber import Subscriber

_TICK_S = 1.0


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    add_broker_options(parser, positional=True)
    topics = _("topic filter to subscribe to; default: all topics")
    parser.add_argument("--filter", default="#", metavar="TOPIC", help=topics)
    parser.add_argument("--format", default="table", choices=tuple(FORMATS), help=_("output format; default: table"))
    seconds = _("stop after this many seconds; default: run until Ctrl-C")
    parser.add_argument("--seconds", type=_seconds, default=None, metavar="SECONDS", help=seconds)
    verify = _("finish with a delivery report (seen, twice, pending, lost, late); exit status 1 if any reading is late")
    parser.add_argument("--verify", action="store_true", help=verify)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e9:
        raise ValueError(text)
    return value


def run(args: Namespace) -> int:
    """Listen for ``--seconds`` or until Ctrl-C. Exit status 1: never connected, or ``--verify`` found a gap."""
    return asyncio.run(_listen(args))


async def _listen(args: Namespace) -> int:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    listener = Listener(args, FORMATS[args.format](sys.stdout), over)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    if args.seconds is not None:
        loop.call_later(args.seconds, over.set)
    ended = asyncio.create_task(over.wait())
    listening = asyncio.create_task(listener.run())
    await asyncio.wait((ended, listening), return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    failed = listening.exception() if not listening.cancelled() else None
    if failed is not None:
        raise failed
    return listener.finish()


class Listener:
    """One run of the command. It reconnects whenever the connection breaks."""

    def __init__(self, args: Namespace, out: Format, over: asyncio.Event) -> None:
        self._args = args
        self._over = over
        self._out = out
        self._subscriber = Subscriber()
        self._connected = False
        self._last_reported = ""
        self._options = BrokerOptions.of(args)

    async def run(self) -> None:
        """Listen for ever."""
        wait = wait_random_exponential(multiplier=0.5, max=10)
        while True:
            await retry_forever(self._hold, ConnectionLost, wait, self._report, asyncio.sleep)

    def finish(self) -> int:
        """Print the remaining gaps and the delivery report; return the exit status. Raises
        :class:`BrokenPipeError`."""
        self._out.flush()
        now_s = asyncio.get_running_loop().time()
        for gap in self._subscriber.gaps(now_s + GRACE_S):
            self._out.gap(gap)
        tallies = self._subscriber.ledger.tally()
        if self._args.verify:
            self._out.flush()
            for stream_id, tally in tallies.items():
                print(
                    _(
                        "{gateway} {stream} {epoch}: seen {seen}, twice {twice}, pending {pending}, lost {lost}, "
                        "late {late}"
                    ).format(
                        gateway=stream_id.gateway,
                        stream=stream_id.stream,
                        epoch=stream_id.epoch,
                        **tally._asdict(),
                    ),
                    file=sys.stderr,
                )
        if self._subscriber.invalid:
            print(
                _("{n} messages did not follow the wire contract").format(n=self._subscriber.invalid), file=sys.stderr
            )
        late = any(tally.late for tally in tallies.values())
        return 1 if not self._connected or (self._args.verify and late) else 0

    def _report(self, error: BaseException) -> None:
        if str(error) != self._last_reported:
            self._last_reported = str(error)
            line = _("not connected: {reason}; retrying").format(reason=one_line(self._last_reported))
            print(line, file=sys.stderr, flush=True)

    async def _hold(self) -> None:
        link = await self._options.connect(f"gardu-listen-{token_hex(4)}")
        link.on_message = self._on_message
        try:
            await link.subscribe([self._args.filter])
            self._connected, self._last_reported = True, ""
            lost = asyncio.create_task(link.lost())
            try:
                while not lost.done():
                    await asyncio.wait((lost,), timeout=_TICK_S)
                    for gap in self._subscriber.gaps(asyncio.get_running_loop().time()):
                        self._out.gap(gap)
                    self._out.flush()
            finally:
                lost.cancel()
            raise lost.result()
        finally:
            link.drop()

    def _on_message(self, message: Message) -> None:
        now_s = asyncio.get_running_loop().time()
        try:
            for item in self._subscriber.on_message(message.topic, message.payload, now_s):
                self._out.write(item, self._subscriber)
            self._out.flush()
        except BrokenPipeError:
            self._over.set()  # nobody reads the output any more; `main` exits quietly
