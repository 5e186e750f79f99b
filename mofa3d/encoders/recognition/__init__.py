"""Who a photograph shows, as dlib's recognition network tells it: a measure, and a teacher, and no part of a face."""
