"""One file per type of check."""
