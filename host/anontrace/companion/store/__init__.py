"""The state folder: one module per group of tables, and what makes, keeps, copies and erases its files."""
