"""R1 Tiny: the demonstration model, its exercises, its training and its export."""
