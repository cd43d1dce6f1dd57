"""Changes to the internals of upstream projects."""
