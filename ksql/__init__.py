"""The pipeline's ksql files and the tools that lint, test, plan and apply them."""
