"""One thread, as trainings run: two are no faster for these networks, and busy cores slow both."""

import torch

torch.set_num_threads(1)
