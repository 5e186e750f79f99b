"""The systems that Tewari et al. 2017 compare with, and the verification of people by their codes."""
