"""What writes profiles. Every generator turns one history into a `Draft`."""
