"""The servers: discovery, mix, mailbox server, nymserver, health authority. Never imports the companion."""
