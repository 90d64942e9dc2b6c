"""Tables of recorded trainings, and searches that replay them."""
