"""flipback."""
