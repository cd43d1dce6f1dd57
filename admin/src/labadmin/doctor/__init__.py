"""What is wrong with a deployment, each with its fix: `nox -s doctor`."""
