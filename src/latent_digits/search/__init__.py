"""The search for hyperparameters: its sampler, its trials, and how they are run."""
