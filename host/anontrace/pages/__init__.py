"""Pages in a browser: what the authority's portal and the wearer's page have in common. Knows neither of them."""
