"""How good profiles are: BUMP rewards over whole histories, against baselines."""
