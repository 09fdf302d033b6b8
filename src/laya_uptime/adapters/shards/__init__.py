"""Probe processes: what they and their hub say to each other, and how the hub keeps one."""
