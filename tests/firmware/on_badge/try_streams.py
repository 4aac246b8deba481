"""What is read piece by piece for a companion: the file is closed as soon as nothing more is wanted of it."""

from badge import requests
from badge.requests import badge_commands


class Source:
    """Pieces of ten bytes, and whether what they come from is open."""

    def __init__(self, count):
        self.is_open = False
        self.pieces = self._read(count)

    def _read(self, count):
        self.is_open = True
        try:
            for number in range(count):
                yield bytes((number,)) * 10
        finally:
            self.is_open = False


def stream(source, reply):
    """Stream thirty bytes of it, through to the end; nothing is waited for."""
    try:
        requests._stream(badge_commands.LOG_READ, source.pieces, 30, reply).send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


def told(response):
    """Status and data of a response."""
    return response[1], response[2:]


def test_it_is_closed_before_the_last_piece_is_sent():
    source, sent = Source(9), []

    async def reply(response):
        sent.append((told(response)[0], source.is_open))

    stream(source, reply)
    assert sent == [(badge_commands.MORE, True)] * 2 + [(badge_commands.DONE, False)]


def test_it_is_closed_when_the_companion_has_gone():
    source = Source(9)

    async def reply(response):
        raise OSError(107)

    try:
        stream(source, reply)
    except OSError:
        assert not source.is_open
        return
    raise AssertionError("went on without anybody")


def test_less_than_there_should_be_ends_with_nothing():
    source, sent = Source(2), []

    async def reply(response):
        sent.append(told(response))

    stream(source, reply)
    more = badge_commands.MORE
    assert sent == [(more, bytes(10)), (more, bytes((1,)) * 10), (badge_commands.DONE, b"")] and not source.is_open
