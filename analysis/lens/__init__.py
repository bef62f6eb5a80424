"""What each layer already believes."""
