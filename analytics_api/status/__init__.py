"""Whether every part of the pipeline moves: the administrator's one page of truth."""
