"""The networks of the systems that the paper is compared with."""
