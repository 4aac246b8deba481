"""The packet format: vectors from a second implementation, properties, and bytes thrown at every parser."""
