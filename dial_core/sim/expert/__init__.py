"""The scripted expert: from privileged poses to absolute joint targets."""
