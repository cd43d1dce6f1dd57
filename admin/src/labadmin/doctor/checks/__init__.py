"""The checks: each a function from state to verdicts, which asks nobody anything."""
