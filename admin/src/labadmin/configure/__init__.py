"""`labadmin configure`: create the ConfigMaps and Secrets that the manifests name from one file, site.toml."""
