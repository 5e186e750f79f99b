"""The systems that Tewari et al. 2017 compare with."""
