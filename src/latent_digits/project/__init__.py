"""What the project's own files say: parameters, pipeline, lock, and the study under other seeds."""
