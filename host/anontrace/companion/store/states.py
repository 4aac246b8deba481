"""The states of SURBs, renewals and uploads, by the words that the database holds (docs/companion-traffic.md)."""

# A SURB, by how far its swap has come.
MADE = "made"
SENT = "sent"
CONFIRMED = "confirmed"
REPLACED = "replaced"

# A renewal: a SURB that is being replaced.
REPLACING = "replacing"  # the new SURB is on its way to the nymserver
DRAINING = "draining"  # it is there, or on its way once more; what was sent by the old one may still be in flight
DUMMY_DUE = "dummy due"  # the old SURB is to be spent by a dummy
SETTLING = "settling"  # the dummy is in flight
CHECKING = "checking"  # the old mailbox is to be polled for the last time

# An upload.
ASKED = "asked"
READY = "ready"
ACCEPTED = "accepted"
REFUSED = "refused"
