"""What a badge must know when no companion is there: names of its GATT table, modes (docs/protocol.md, section 4).

The rest of the section is in `badge_commands`, which a badge loads for a session only.
"""

SERVICE = "a7ce0001-0a7e-4c1d-9a55-5f0a3c7e1b00"
INBOX = "a7ce0005-0a7e-4c1d-9a55-5f0a3c7e1b00"
OUTBOX = "a7ce0003-0a7e-4c1d-9a55-5f0a3c7e1b00"
CHALLENGE = "a7ce0004-0a7e-4c1d-9a55-5f0a3c7e1b00"

NO_OWNER = bytes(32)  # stands in for the owner key of a badge that has none; refused as one

# Modes of provision
RATCHET = 1
LIST = 2
