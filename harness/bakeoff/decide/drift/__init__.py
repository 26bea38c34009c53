"""Whether what serves today is worse than its pinned baseline: the two-stage rule, and what a night's check says."""
