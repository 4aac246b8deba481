"""The servers, as a companion uses them."""
