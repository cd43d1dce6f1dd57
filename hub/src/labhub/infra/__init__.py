"""Database, proxy, HTTP connections and scheduling: services that other packages use."""
