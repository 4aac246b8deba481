"""The companion's side of the badge: finding it, session, provisioning, log (docs/protocol.md section 4)."""
