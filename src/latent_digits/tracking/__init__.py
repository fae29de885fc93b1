"""What a run says of itself, and the upload queue that keeps it until MLflow has it."""
