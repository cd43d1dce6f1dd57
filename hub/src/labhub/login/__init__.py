"""Logins with GitHub accounts, and the regular re-check of the membership in an organization."""
