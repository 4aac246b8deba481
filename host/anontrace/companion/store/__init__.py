"""The companion's tables, one module per group of tables; secrets pass through the vault on their way in and out."""
