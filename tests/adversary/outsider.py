"""An outsider who heard an address: was its owner notified? They may ask whatever anybody may ask: receipts about it.

The nymserver is the real one. Up to 0.2 it told everybody the fingerprints of what it holds; who knew one saw it go.
"""

import os

from anontrace.backend.nymserver.nyms import Nyms
from anontrace.mixnet.receipt import NymQuestion

FINGERPRINT = 8


async def ask(nyms: Nyms, key: bytes, fingerprint: bytes | None = None) -> bool:
    """What a receipt says about a nym key, to somebody who knows no fingerprint unless it is given."""
    return (await nyms.answer(NymQuestion(key, fingerprint or os.urandom(FINGERPRINT)))).held
