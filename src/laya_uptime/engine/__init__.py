"""Asynchronous orchestration over ports; it decides nothing that the domain can decide."""
