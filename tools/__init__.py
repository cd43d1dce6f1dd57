"""What the sessions of noxfile.py run."""
