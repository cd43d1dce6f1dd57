"""`labadmin doctor`: find the problems of a deployment, each with its fix."""
