"""One YAML file and `EGRET_…` variables, parsed once into frozen settings."""
