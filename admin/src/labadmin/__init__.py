"""The command `labadmin`, for the administrators of a site. Each subpackage is one of its commands."""
