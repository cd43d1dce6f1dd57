"""Who may log in: GitHub accounts, organization membership, and its regular re-check."""
