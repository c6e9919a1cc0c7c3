"""What Bump talks about: plain dataclasses and pure functions, no I/O."""
