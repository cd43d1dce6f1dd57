"""The checks: each a function from facts to verdicts, which asks nobody anything."""
