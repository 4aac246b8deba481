"""The mailbox server: keeps what arrives for an address until it is fetched (seed, "Mailbox-Server")."""
