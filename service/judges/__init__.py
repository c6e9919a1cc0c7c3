"""Frozen rankers. Each is a `bump.judge.Judge`."""
