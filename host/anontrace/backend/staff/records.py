"""What the store keeps of staff: accounts, sessions, settings. Models only."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from .passkeys import Passkey
from .rights import Person, Role


class Account(BaseModel):
    """One account. Codes are kept as hashes (factors.hash_of), the authenticator's secret sealed (factors.seal)."""

    model_config = ConfigDict(hide_input_in_errors=True)

    name: str
    role: Role
    site: str = ""  # of a test site: its people see each other's tokens
    made: int  # unix seconds, as all times here
    password: str = Field(default="", repr=False)  # Argon2id; "": none yet
    totp: str = Field(default="", repr=False)  # "": none
    totp_step: int = 0  # of the last code that counted
    passkeys: list[Passkey] = Field(default_factory=list)
    recovery: list[str] = Field(default_factory=list, repr=False)  # those that are left
    invitation: str = Field(default="", repr=False)  # with which its owner sets it up; "": none
    invited_until: float = 0.0
    epoch: int = 0  # sessions of an earlier one are over
    withdrawn: bool = False
    tries: int = 0  # bad ones since `tried`
    tried: float = 0.0

    @property
    def person(self) -> Person:
        return Person(self.name, self.role, self.site)

    @property
    def is_set_up(self) -> bool:
        return bool(self.password and (self.totp or self.passkeys))

    def ended(self, **changed: object) -> Self:
        """It with these changes; all its sessions are over."""
        return self.model_copy(update={"epoch": self.epoch + 1, **changed})


class Stage(StrEnum):
    """How far somebody has come."""

    SECOND = "second"  # the password was right; a second factor is to come
    SET_UP = "set-up"  # by invitation: a password and a second factor are to be chosen
    IN = "in"


class Session(BaseModel):
    """One session, stored under the hash of its token."""

    model_config = ConfigDict(hide_input_in_errors=True)

    account: str
    epoch: int
    stage: Stage
    began: float
    seen: float
    form: str = Field(repr=False)  # what each of its forms has to bring
    challenge: str = Field(default="", repr=False)  # of a passkey (base64url)
    secret: str = Field(default="", repr=False)  # of an authenticator that is being set up, sealed


class Settings(BaseModel):
    """What administrators set. `four_eyes`: who approves is another one than who proposed, also of a setting."""

    four_eyes: bool = False


class Pending(BaseModel):
    """A change of the settings that a second administrator has to confirm."""

    settings: Settings
    by: str


class Kept(BaseModel):
    """The settings as they hold, and what waits."""

    settings: Settings = Field(default_factory=Settings)
    pending: Pending | None = None
