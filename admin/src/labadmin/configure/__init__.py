"""From a site's one file, site.toml, to the ConfigMaps and Secrets that the manifests name: `nox -s configure`."""
