"""The Avro schemas of the topics, and the tool that checks and registers them."""
