"""Administration of accounts: over REST, and by `python -m analytics_api.users` where nobody can sign in."""
