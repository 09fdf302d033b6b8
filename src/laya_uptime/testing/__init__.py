"""Public helpers for tests: a fake clock, scripted targets, a ledger sink, and a contract suite per port."""
