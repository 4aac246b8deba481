"""Seals the contacts of an ended interval into one block of the log (docs/protocol.md, section 3).

The sealing key lives as long as the block takes and is wiped; each contact is wiped as it is sealed. Gives way to other
tasks between records, so that the badge goes on hearing.
"""

import asyncio

from anontrace_shared import badge_log, errors


async def seal(contacts, logbook, log_key, boot, known, number, function):
    """Seal all that waits in `contacts` for the interval (known, number), and call `function` each time.

    The number of contacts lost: none, or all.
    """
    count = contacts.waiting
    if not count:
        return 0
    sealer = None
    try:
        if known:
            sealer = badge_log.Sealer(log_key, badge_log.KNOWN_SLOT, number)
        else:
            sealer = badge_log.Sealer(
                log_key, badge_log.UNKNOWN_SLOT, badge_log.unknown_slot(boot, min(number, 0xFFFF))
            )
        logbook.begin(sealer.begin(count))
        while contacts.waiting:
            address, figures = contacts.take()
            logbook.append(sealer.record(address, figures))
            function()
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
