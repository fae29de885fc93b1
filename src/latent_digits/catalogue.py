"""The study's models, by the names of their files of weights and of their histories."""

MODELS = (
    "ae",
    "ae_2d",
    "denoiser",
    "vae",
    "vae_2d",
    "classifier",
    "classifier_random_encoder",
    "classifier_end_to_end",
)
