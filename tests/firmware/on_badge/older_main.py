"""A badge whose GATT table is that of older firmware, the sessions of which were bound to nothing on the air."""

from anontrace_shared import names

names.INBOX = "a7ce0002-0a7e-4c1d-9a55-5f0a3c7e1b00"

from badge import app  # noqa: E402

app.main()
