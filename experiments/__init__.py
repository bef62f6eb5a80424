"""Ready-made studies: one TOML each, with the table that it should reproduce."""
