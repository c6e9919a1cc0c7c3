"""BUMP (arXiv 2606.05336): how good a profile is, without a label. Pure functions, no I/O."""
