"""The operators that a query's steps become. Each takes a list of events of one partition and gives another."""
