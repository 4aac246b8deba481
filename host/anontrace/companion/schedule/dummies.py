"""Dummies: messages that come to an old mailbox of the wearer's own, by the SURB that was replaced.

The nymserver sends them, asked by a relay; on their way they look like notifications, and they use up the old SURB
(docs/companion-traffic.md). What arrives of one is computed when the SURB is given up, so that it can be told from a
notification without being fetched.
"""

import secrets

from anontrace.companion.store.expected import DUMMY
from anontrace.companion.store.renewals import OldSurb
from anontrace.companion.store.state import State
from anontrace.mixnet import blob, relay, stream
from anontrace.mixnet.sizes import KEY, PAYLOAD
from anontrace.mixnet.surb import SurbSecrets


def prepare(state: State, old: OldSurb, now: int) -> None:
    """Draw the dummy of a SURB that is given up, and expect it; runs within the caller's transaction."""
    seed = secrets.token_bytes(KEY)
    state.renewals.give_up(old.surb, seed, now)
    arriving = SurbSecrets.from_bytes(old.secrets).arrives(stream.expand(seed, PAYLOAD))
    state.expected.expect(old.mailbox, arriving, DUMMY, old.surb)


def ask(old: OldSurb) -> bytes:
    """The payload (239) that asks the nymserver for the dummy of a SURB that was given up."""
    assert old.seed is not None  # it was given up
    return relay.of(blob.open(old.contact_address, old.slot, old.blob), old.seed).encode()
