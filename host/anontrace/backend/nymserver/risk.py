"""How much a contact is at risk, for the order in which notifications leave (docs/protocol.md section 9).

A nymserver sees single slots of five minutes, and cannot tell which of them were one person's: what it puts in order is
slots. Pure.
"""

from .records import Contact

# Attenuation in dB up to which a minute counts so much, and one beyond all of them once.
_WEIGHTS = ((55, 4), (63, 3), (73, 2))
_VERIFIED = 2  # times as much as one that did not pass the challenge, which may be a replay
MAX_RISK = 15 * 4 * _VERIFIED
_RISK_STEP = 1 << 32  # more than any unix time there will be


def of(contact: Contact) -> int:
    """From 0 to 120: thirds of a minute, by how near it was, twice as much if it was verified."""
    weight = next((weight for limit, weight in _WEIGHTS if contact.attenuation <= limit), 1)
    return min(MAX_RISK, contact.present * weight * (_VERIFIED if contact.verified else 1))


def place(risk: int, decided: float) -> float:
    """A number that is lower for a higher risk, and of equal ones for the one that was decided (unix seconds) first."""
    return (MAX_RISK - risk) * _RISK_STEP + decided
