"""`labadmin configure`: read one file, site.toml, and create the ConfigMaps and Secrets that the manifests require."""
