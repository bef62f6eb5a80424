"""The run folder: its manifest, lock, trace shards, derived tables and vectors."""
