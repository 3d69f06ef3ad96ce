"""What a check must be: types and encoder made from the registry's schema, and the rules that Avro cannot state."""
