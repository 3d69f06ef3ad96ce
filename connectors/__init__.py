"""The JDBC sink connectors, one JSON file each, and the tools that apply, watch and repair them."""
