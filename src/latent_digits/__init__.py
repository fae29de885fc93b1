"""latent-digits: autoencoders on MNIST as a pipeline that repeats, resumes and explains itself."""

from latent_digits.arithmetic import settle

settle()  # before any library that computes is imported
