"""Settings from the environment. Only this package reads the environment."""
