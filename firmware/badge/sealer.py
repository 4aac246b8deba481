"""Seals the contacts of an ended interval into one block of the log (docs/protocol.md, section 3).

The sealing key lives as long as the block takes and is wiped; each contact is wiped as it is sealed. Gives way to other
tasks between records, so that the badge goes on hearing.
"""

import asyncio

from anontrace_shared import errors, sealing


async def seal(contacts, logbook, log_key, boot, known, number):
    """Seal all that waits in `contacts` for the interval (known, number). The number of contacts lost: none, or all."""
    count = contacts.waiting
    if not count:
        return 0
    sealer = None
    try:
        if known:
            sealer = sealing.Sealer(log_key, sealing.KNOWN_SLOT, number)
        else:
            sealer = sealing.Sealer(log_key, sealing.UNKNOWN_SLOT, sealing.unknown_slot(boot, min(number, 0xFFFF)))
        logbook.begin(sealer.begin(count))
        while contacts.waiting:
            address, figures = contacts.take()
            logbook.append(sealer.record(address, figures))
            await asyncio.sleep_ms(0)
        logbook.append(sealer.end())
        logbook.commit()
        return 0
    except (OSError, errors.FormatError):
        contacts.discard()
        return count
    finally:
        if sealer is not None:
            sealer.wipe()
