"""Takes purchase checks over HTTP, proves them against the registry's schema and answers once Kafka has them."""
