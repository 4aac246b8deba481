"""The mailbox server: keeps what arrives for an address until it is fetched (docs/protocol.md section 8)."""
