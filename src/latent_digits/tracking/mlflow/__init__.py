"""MLflow, which no other room imports: what it is sent, shows, and is asked."""
