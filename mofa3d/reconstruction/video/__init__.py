"""From a video to a face that moves."""
