"""Who may do what: accounts, logins, tokens, guards."""
