"""Database, proxy, HTTP connections and scheduling: services for the other packages."""
