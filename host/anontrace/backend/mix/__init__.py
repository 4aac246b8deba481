"""The mix: what every mix, nymserver and mailbox server does with messages (docs/protocol.md section 6)."""
