"""The model of site.toml.

`configure` writes no variable for a setting that site.toml omits: only the components define defaults. A component
checks all its settings when it starts. The checks in this module find common mistakes before a component starts.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from labadmin.configure.fields import (
    SECRET,
    Admin,
    DnsLabel,
    HttpsUrl,
    Name,
    Organization,
    Secret,
    ServiceUrl,
    Table,
    Text,
    optional,
    required,
)
from labadmin.configure.logs_model import Logs
from labadmin.configure.menu import Images, Sizes


class Github(Table):
    """The settings of the login: the OAuth app at GitHub, and the users who may log in."""

    client_id: Text = required("the client id of the OAuth app at GitHub", "GITHUB_CLIENT_ID")
    client_secret: Secret = required(f"a client secret of the OAuth app, as {SECRET}")
    organizations: Annotated[list[Organization], Field(min_length=1)] = required(
        'a list of at least one "org" or "org:team", whose members may log in', "GITHUB_ORGANIZATION_WHITELIST"
    )
    admins: list[Admin] | None = optional(
        'a list of numeric GitHub ids (https://api.github.com/users/LOGIN shows the id) and of "org:team"',
        "GITHUB_ADMINS",
    )
    url: HttpsUrl | None = optional("the https URL of a GitHub Enterprise Server", "GITHUB_URL")
    authority: Text | None = optional("the path of a PEM file with the CA certificates of GitHub Enterprise")
    refresh_seconds: int | None = optional("1 to 86400 seconds", "GITHUB_REFRESH_SECONDS", ge=1, le=86400)
    stale_seconds: int | None = optional("0 or more seconds", "GITHUB_STALE_SECONDS", ge=0)
    timeout_seconds: float | None = optional("above 0, up to 60 seconds", "GITHUB_TIMEOUT_SECONDS", gt=0, le=60)
    revoke_on_logout: bool | None = optional("true or false", "GITHUB_REVOKE_ON_LOGOUT")


class Labs(Table):
    """The settings of the labs: time limits, volumes, images and sizes."""

    idle_seconds: int | None = optional("0 or more seconds (0: never)", "LAB_IDLE_SECONDS", ge=0)
    max_age_seconds: int | None = optional("0 or more seconds (0: never)", "LAB_MAX_AGE_SECONDS", ge=0)
    warning_seconds: int | None = optional("0 or more seconds (0: no warning)", "LAB_WARNING_SECONDS", ge=0)
    stop_seconds: int | None = optional("1 to 3600 seconds", "LAB_STOP_SECONDS", ge=1, le=3600)
    pull_seconds: int | None = optional("5 or more seconds", "LAB_PULL_SECONDS", ge=5)
    start_seconds: int | None = optional("5 or more seconds", "LAB_START_SECONDS", ge=5)
    unschedulable_seconds: int | None = optional("0 or more seconds", "LAB_UNSCHEDULABLE_SECONDS", ge=0)
    groups_policy: Literal["Strict", "Merge"] | None = optional('"Strict" or "Merge"', "LAB_GROUPS_POLICY")
    namespace: DnsLabel | None = optional("the name of a namespace", "LAB_NAMESPACE")
    home_claim: DnsLabel | None = optional("the name of a PersistentVolumeClaim", "LAB_HOME_CLAIM")
    project_claim: DnsLabel | None = optional("the name of a PersistentVolumeClaim", "LAB_PROJECT_CLAIM")
    passwd: Text | None = optional("the path of a copy of the lab image's /etc/passwd")
    group: Text | None = optional("the path of a copy of the lab image's /etc/group")
    menu: Text | None = optional("the path of a TOML file with images and sizes")
    images: Images | None = optional("tables [[labs.images]]")
    sizes: Sizes | None = optional("tables [[labs.sizes]]")


class Database(Table):
    """The settings of the hub's database. Without this table the hub uses SQLite."""

    url: Secret = required(f"postgresql+psycopg://user:password@host/database, as {SECRET}")
    authority: Text | None = optional("the path of a PEM file with the CA certificates of the database")


class Storage(Table):
    """The settings of the fileserver."""

    usage_seconds: int | None = optional("1 to 2678400 seconds", "LABFILES_USAGE_SECONDS", ge=1, le=2678400)
    usage_rate: int | None = optional("1 to 1000000 files per second", "LABFILES_USAGE_RATE", ge=1, le=1000000)
    url: ServiceUrl | None = optional("http://<host>:<port> of the fileserver's API", "FILESERVER_URL")


class Nginx(Table):
    """The settings of nginx: TLS, uploads, further hubs."""

    certificate: Text | None = optional("the path of a PEM file: the certificate of hostname, then its chain")
    key: Secret | None = optional(f"the key of the certificate, PEM, as {SECRET}")
    cert_manager: bool | None = optional("true or false")
    other_hubs: list[Annotated[str, Field(pattern=r"^[a-z0-9.-]+=[a-z0-9.-]+(:[0-9]+)?$")]] | None = optional(
        "a list of NAME=PROXY for each further hub, for example b.example.org=proxy.b.svc.cluster.local",
        "NGINX_OTHER_HUBS",
        form="spaces",
    )
    max_body: Annotated[str, Field(pattern="^[1-9][0-9]{0,8}[kmg]?$")] | None = optional(
        'the size of the largest body of a request, for example "512m" or "4g"', "NGINX_MAX_BODY"
    )
    hsts_seconds: int | None = optional("0 to 999999999 seconds (0: no HSTS)", "NGINX_HSTS_SECONDS", ge=0, le=999999999)
    http3: bool | None = optional("true or false", "NGINX_HTTP3", form="on-off")
    resolver: Annotated[list[Annotated[str, Field(pattern=r"^[0-9a-f.:\[\]]+$")]], Field(min_length=1)] | None = (
        optional("a list of IP addresses of name servers", "NGINX_RESOLVER", form="spaces")
    )
    upstream_host: Name | None = optional("the full name of the proxy's Service, in lower case", "NGINX_UPSTREAM_HOST")
    upstream_port: int | None = optional("a port, 1 to 65535", "NGINX_UPSTREAM_PORT", ge=1, le=65535)
    tls_check_seconds: int | None = optional("1 to 99999 seconds", "NGINX_TLS_CHECK_SECONDS", ge=1, le=99999)

    @property
    def other_names(self) -> list[str]:
        """The host names of the further hubs."""
        return [hub.partition("=")[0] for hub in self.other_hubs or []]


class Site(Table):
    """All of site.toml."""

    hostname: Name = required("the DNS name of the site in lower case, without https://, for example lab.example.org")
    contact: Text | None = optional("an email address or a sentence", "SUPPORT_CONTACT")
    github: Github = required("the table [github]")
    labs: Labs = Field(default_factory=Labs, description="the table [labs]")
    database: Database | None = Field(None, description="the table [database]")
    storage: Storage = Field(default_factory=Storage, description="the table [storage]")
    nginx: Nginx = required("the table [nginx]")
    logs: Logs | None = Field(None, description="the table [logs]")

    @property
    def shipping(self) -> Logs | None:
        """The settings of the logs, or None if they are off."""
        return self.logs if self.logs and self.logs.enabled is not False else None
