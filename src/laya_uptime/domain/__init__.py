"""What the product knows: pure, synchronous rules over plain values. No clock, no I/O, no randomness."""
