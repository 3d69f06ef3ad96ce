"""What clients meet: endpoints, problem details, API keys, rate limits, health and documentation."""
