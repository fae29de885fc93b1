"""latent-digits: autoencoders on MNIST as a pipeline that repeats, resumes and explains itself."""
