"""What locks the secrets in the state folder."""
