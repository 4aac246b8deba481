"""The mixes of a directory as they are used: what holds of what they published, and which are in force at a time.

docs/protocol.md section 10. Pure: the time and what is pinned are passed in.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from anontrace_shared.errors import AnontraceError, FormatError

from anontrace.mixnet import keydays

from . import announcement, description
from .content import Content
from .description import Description
from .fields import Role
from .network import PinnedMix

CLOCK_TOLERANCE = 600  # seconds by which a description may seem to come from the future
MAX_MIXES = 255
DAYS_AHEAD = 1  # for which a mix may have announced its keys


@dataclass(frozen=True, slots=True)
class MixKey:
    """The X25519 public key (32) of one day."""

    day: int
    key: bytes


@dataclass(frozen=True, slots=True)
class Mix:
    """A mix whose signatures hold: its description, its announced keys by rising day, and whom the newest accuses."""

    described: Description
    keys: tuple[MixKey, ...]
    lossy: tuple[int, ...] = ()

    @property
    def number(self) -> int:
        return self.described.number

    @property
    def name(self) -> str:
        return self.described.name

    @property
    def roles(self) -> tuple[Role, ...]:
        return self.described.roles

    @property
    def url(self) -> str:
        return self.described.url

    @property
    def log_key(self) -> bytes | None:
        """Of a nymserver: the public key (32) to which badges seal their logs."""
        return self.described.log_key

    @property
    def bucket_bits(self) -> int | None:
        return self.described.bucket_bits


@dataclass(frozen=True, slots=True)
class Known:
    """The mixes of a directory by number, in force or not, and a line for each that is not believed."""

    mixes: dict[int, Mix]
    refused: tuple[str, ...]


def known(published: Content, pins: Mapping[int, PinnedMix], now: float) -> Known:
    """The pinned mixes whose word holds. One that is not to be believed costs nobody else."""
    found, refused = {}, []
    for number in sorted(published.descriptions):
        try:
            found[number] = verified(published, number, pins, now)
        except AnontraceError as error:
            refused.append(str(error))
    return Known(found, tuple(refused))


def verified(published: Content, number: int, pins: Mapping[int, PinnedMix], now: float) -> Mix:
    """One mix, if it is pinned and signed all that is announced for it. FormatError or AuthenticationError says why
    not."""
    pin = pins.get(number)
    if pin is None:
        raise FormatError(f"mix {number}: this number is not pinned in the network file")
    announced = tuple(sorted(published.announcements[number].items()))
    mix = _signed(published.descriptions[number], announced, pin.key)
    if set(mix.roles) != set(pin.roles):
        raise FormatError(f"mix {number}: its roles are not those of the network file")
    if mix.described.issued > now + CLOCK_TOLERANCE:
        raise FormatError(f"mix {number}: its description is from the future; check the clock")
    return mix


@lru_cache(maxsize=2 * MAX_MIXES)  # who goes by one directory all day long looks at it at every turn
def _signed(text: bytes, announced: tuple[tuple[int, bytes], ...], verify_key: bytes) -> Mix:
    """What its description and announcements by day say of a mix, all of them signed with this key."""
    described = description.parse(text)
    made = [announcement.parse(each, day) for day, each in announced]
    for each in made:
        announcement.check(each, text, verify_key)
    return Mix(described, tuple(MixKey(each.day, each.key) for each in made), made[-1].lossy)


def in_force(mixes: Iterable[Mix], now: float) -> dict[int, Mix]:
    """The mixes that have announced a key for today or tomorrow, by number: who has not is gone. One that retires makes
    no more, and stays as long as a key of it lives."""
    today = keydays.day_at(now)
    found = {}
    for mix in mixes:
        keys = tuple(key for key in mix.keys if key.day <= today + DAYS_AHEAD)
        since = today - keydays.LIFE_DAYS + 1 if mix.described.retiring else today
        if keys and keys[-1].day >= since:
            found[mix.number] = mix if len(keys) == len(mix.keys) else Mix(mix.described, keys, mix.lossy)
    return found


def usable_key(mix: Mix, now: float, minimum_days: int = 0) -> MixKey | None:
    """The newest live key of a mix, if it stays alive for so many whole days after today."""
    live = keydays.live_days(now)
    newest = max((key for key in mix.keys if key.day in live), key=lambda key: key.day, default=None)
    if newest is None or keydays.days_left(newest.day, now) < minimum_days:
        return None
    return newest
