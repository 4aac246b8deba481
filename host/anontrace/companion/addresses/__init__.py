"""Making contact addresses and bringing them to the nymserver."""
