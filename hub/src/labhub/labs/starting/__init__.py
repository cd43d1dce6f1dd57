"""What delays or prevents the start of a lab, and what the progress page shows about the start."""
