"""The Beats side: TCP and TLS connections of the shippers, and their acknowledgements."""
