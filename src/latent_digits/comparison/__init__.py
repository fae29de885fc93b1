"""Two revisions of the study side by side: what differs, by how much, and beyond what noise."""
