"""Connections: the owner's session and the challenges of other badges (docs/protocol.md, sections 4 and 5).

A link: CONNECTED, then either ESTABLISHED by the owner's handshake, or one challenge answered. Any error, a stranger's
15 seconds, the owner's minute of silence, and for strangers the badge's change of address, end it. One owner at a time.
"""

import asyncio
import errno

from anontrace_shared import errors, names
from micropython import const

from . import guests, store
from . import radio as air

_STRANGER_MS = const(15000)
_IDLE_MS = const(60000)
_MIN_MTU = const(23)
_MAX_WAITING = const(2048)  # bytes from one companion not yet looked at
_AGAIN_MS = const(20)
_TRIES = const(250)  # of one notification: five seconds
_CHALLENGES = const(20)  # answered in one slot: a scalar multiplication each
_HANDSHAKES = const(12)  # of recordings or the owner's own in a minute: two scalar multiplications each
_MINUTE_MS = const(60000)
_MAX_HANDLES = const(9)


class Link:
    """One connection."""

    def __init__(self, connection):
        self.connection = connection
        self.mtu = _MIN_MTU
        self.session = None
        self.by_owner = True  # the session is under the owner key, not under that of nobody
        self.inbox = bytearray()
        self.arrived = 0  # uptime at which the inbox was last added to
        self.question = None
        self.gone = False
        self.wake = asyncio.Event()
        self.task = None


class Links:
    """`requests(request, reply, uptime_ms, by_owner)` answers, `challenge(question)` gives 48 bytes or None.

    `wants_owner()`: whether a badge without owner may be reached by anybody.
    """

    def __init__(self, radio, clock, requests, challenge, wants_owner, report):
        self.radio = radio
        self.clock = clock
        self.requests = requests
        self.challenge = challenge
        self.wants_owner = wants_owner
        self.report = report  # takes an exception that should not have happened
        self.links = {}
        self._owner = None
        self._challenges = 0
        self._handshakes = 0
        self._minute = 0  # in which the handshakes were

    def handle(self, event, connection, value, size):
        """Take an event from the radio."""
        link = self.links.get(connection)
        if event == air.IRQ_CENTRAL_CONNECT:
            link = self.links[connection] = Link(connection)
            link.task = asyncio.create_task(self._serve(link))
            self.radio.advertise()
        elif event == air.IRQ_CENTRAL_DISCONNECT:
            self.radio.advertise()
            if link is not None:
                del self.links[connection]
                self._close(link)
        elif link is None:
            if event == air.IRQ_GATTS_WRITE:
                self.radio.received(size)  # over a connection that is not for this: forget it
        elif event == air.IRQ_MTU_EXCHANGED:
            link.mtu = value
        elif event == air.IRQ_GATTS_WRITE:
            data = self.radio.received(size)
            if not size:  # more came than there is room for
                self._end(link)
            elif value == self.radio.inbox:
                link.arrived = self.clock.uptime_ms()
                link.inbox.extend(data)
                if len(link.inbox) > _MAX_WAITING:
                    self._end(link)
            elif value == self.radio.challenge:
                link.question = data
            link.wake.set()

    def new_address(self):
        """The badge takes a new address now: nobody may carry a connection over who has not shown the owner key."""
        self._challenges = 0
        for link in list(self.links.values()):
            if not link.by_owner or link.session is None or not link.session.established:
                self._end(link)

    @property
    def in_session(self):
        """Whether anybody has begun a session."""
        for link in self.links.values():
            if link.session is not None:
                return True
        return False

    def end_all(self):
        """End every connection there may be, known or not: events were lost."""
        for connection in range(_MAX_HANDLES):
            if connection not in self.links:
                self.radio.disconnect(connection)
        for link in list(self.links.values()):
            self._end(link)

    def _close(self, link):
        link.gone = True
        if link.session is not None:
            link.session.close()
        if self._owner is link:
            self._owner = self.radio.connection = None
        link.wake.set()

    def _end(self, link):
        if not link.gone:
            self._close(link)
            if not self.radio.disconnect(link.connection) and self.links.get(link.connection) is link:
                del self.links[link.connection]  # nobody will tell

    async def _serve(self, link):
        deadline = self.clock.uptime_ms() + _STRANGER_MS
        try:
            while not link.gone:
                left = _IDLE_MS if link is self._owner else deadline - self.clock.uptime_ms()
                await asyncio.wait_for_ms(link.wake.wait(), max(left, 1))
                link.wake.clear()
                if link.question is not None:
                    await self._answer_challenge(link)
                    return
                if link.inbox:
                    await self._receive(link)
        except (errors.AnontraceError, asyncio.TimeoutError, OSError):
            pass  # the other side's doing, or its absence
        except Exception as error:
            self.report(error)
        finally:
            self._end(link)

    async def _receive(self, link):
        chunk, link.inbox = bytes(link.inbox), bytearray()
        arrived = link.arrived
        if link.session is None or not link.session.established:
            self._limit_handshakes()
        if link.session is None:
            key = store.owner_key()
            if key is None:
                if not self.wants_owner():
                    raise errors.FormatError("no owner")
                key = names.NO_OWNER
                link.by_owner = False
            from anontrace_shared.badge_session import BadgeSession  # a guest

            link.session = BadgeSession(key, self.radio.sent())
        plaintexts = link.session.receive(chunk)
        opening = link.session.open()
        if opening:
            self._handshakes += 1
            guests.leave((guests.HANDSHAKE,))
            await self._send(link, self.radio.outbox, opening)
        for plaintext in plaintexts:
            if link.by_owner and self._owner is not link:  # only now is it sure that this is no recorded handshake
                if self._owner is not None:
                    self._end(self._owner)
                self._owner = link
                self.radio.connection = link.connection

            async def reply(response):
                await self._send(link, self.radio.outbox, link.session.send(response))

            await self.requests(plaintext, reply, arrived, link.by_owner)

    def _limit_handshakes(self):
        minute = self.clock.uptime_ms() // _MINUTE_MS
        if minute != self._minute:
            self._minute = minute
            self._handshakes = 0
        if self._handshakes >= _HANDSHAKES:
            raise errors.FormatError("too many handshakes in a minute")

    async def _answer_challenge(self, link):
        if self._challenges >= _CHALLENGES:
            return
        self._challenges += 1
        answer = self.challenge(link.question)
        if answer is not None:
            await self._send(link, self.radio.challenge, answer)
            await asyncio.wait_for_ms(link.wake.wait(), _STRANGER_MS)  # let it leave first, so that the answer arrives

    async def _send(self, link, attribute, data):
        """Notify `data` in pieces, trying again while the radio's buffers are full. OSError once the link is gone."""
        size = link.mtu - 3
        at = 0
        tries = 0
        while at < len(data):
            if link.gone:
                raise OSError(errno.ENOTCONN)
            try:
                self.radio.notify(link.connection, attribute, data[at : at + size])
                at += size
                tries = 0
            except OSError as error:
                tries += 1
                if error.errno != errno.ENOMEM or tries > _TRIES:
                    raise
                await asyncio.sleep_ms(_AGAIN_MS)
