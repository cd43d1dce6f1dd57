"""Settings of a hub that starts labs: proxy, database, fileserver, menu, pods and timeouts."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from labhub.models.pod_types import PodSettings
from labhub.models.profiles import Menu, MenuError, parse_menu
from labhub.settings.environment import ShownError


def check_service(url: str) -> str:
    """Return the URL if it names a service inside the cluster: http, host and port only."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or not parts.port or parts.path or parts.query:
        raise ValueError("not the URL of a service in the cluster")
    return url


def check_database(url: SecretStr) -> SecretStr:
    """Return the URL if it names an SQLite file or a PostgreSQL database.

    Reject a URL with a password that JupyterHub and SQLAlchemy would not hide in log lines. They hide a password only
    at the usual place in the URL, and only if special characters in the password are percent-encoded.
    """
    text = url.get_secret_value()
    parts = urlsplit(text)
    on_file = parts.scheme == "sqlite" and not parts.netloc and parts.path.startswith("//")
    served = parts.scheme == "postgresql+psycopg" and parts.hostname and parts.port != 0 and len(parts.path) > 1
    hidden = text.count("@") == parts.netloc.count("@") <= 1 and "password" not in parts.query and not parts.fragment
    if not on_file and not (served and hidden):
        raise ValueError("not the URL of a supported database")
    return url


def read_menu(path: str) -> Menu:
    """Parse the menu in a TOML file."""
    try:
        return parse_menu(Path(path).read_text(), version("labhub"))
    except MenuError as error:
        raise ShownError(str(error)) from error


DNS_LABEL = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
TextFile = Annotated[str, BeforeValidator(lambda path: Path(path).read_text())]
MenuFile = Annotated[Menu, BeforeValidator(read_menu)]


class LabSettings(BaseModel):
    """Settings of the labs.

    The alias of a field is the name of the environment variable. Error messages quote the description of a field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    proxy_token: Annotated[SecretStr, Field(min_length=1)] = Field(
        alias="CONFIGPROXY_AUTH_TOKEN",
        description="a random secret that the hub and the proxy share (openssl rand -hex 32)",
    )
    database_url: Annotated[SecretStr, AfterValidator(check_database)] = Field(
        SecretStr("sqlite:////srv/jupyterhub/jupyterhub.sqlite"),
        alias="HUB_DATABASE_URL",
        description="sqlite:////<absolute path> or postgresql+psycopg://user:password@host/database, "
        "with special characters of the password as %XX",
    )
    proxy_api_url: Annotated[str, AfterValidator(check_service)] = Field(
        "http://proxy-api:8001", alias="PROXY_API_URL", description="http://<host>:<port> of the proxy's API"
    )
    connect_url: Annotated[str, AfterValidator(check_service)] = Field(
        "http://hub.jupyterlabdemo:8081",
        alias="HUB_CONNECT_URL",
        description="http://<host>:<port> at which labs reach the hub",
    )
    fileserver_url: Annotated[str, AfterValidator(check_service)] = Field(
        "http://fileserver.jupyterlabdemo:8080",
        alias="FILESERVER_URL",
        description="http://<host>:<port> of the fileserver's API",
    )
    fileserver_token: Annotated[SecretStr, Field(min_length=16)] = Field(
        alias="FILESERVER_TOKEN",
        description="a random secret that the hub and the fileserver share (openssl rand -hex 32)",
    )
    menu: MenuFile = Field(alias="LAB_MENU", description="the path of a TOML file with images and sizes")
    namespace: Annotated[str, Field(pattern=DNS_LABEL)] = Field(
        "jupyterlabdemo-labs", alias="LAB_NAMESPACE", description="the name of a namespace"
    )
    home_claim: Annotated[str, Field(pattern=DNS_LABEL)] = Field(
        "home", alias="LAB_HOME_CLAIM", description="the name of a PersistentVolumeClaim in the labs' namespace"
    )
    project_claim: Annotated[str, Field(pattern=DNS_LABEL)] = Field(
        "project", alias="LAB_PROJECT_CLAIM", description="the name of a PersistentVolumeClaim in the labs' namespace"
    )
    passwd: TextFile = Field(alias="LAB_PASSWD", description="the path of the passwd file of the lab's image")
    group: TextFile = Field(alias="LAB_GROUP", description="the path of the group file of the lab's image")
    groups_policy: Literal["Strict", "Merge"] = Field(
        "Strict",
        alias="LAB_GROUPS_POLICY",
        description="Strict, or Merge for nodes whose container runtime lacks Strict (containerd before 2.0)",
    )
    pull_seconds: Annotated[int, Field(ge=5)] = Field(
        900, alias="LAB_PULL_SECONDS", description="5 or more seconds for the image and the volumes on a node"
    )
    lab_seconds: Annotated[int, Field(ge=5)] = Field(
        120, alias="LAB_START_SECONDS", description="5 or more seconds for JupyterLab to start in the pod"
    )
    unschedulable_seconds: Annotated[int, Field(ge=0)] = Field(
        600, alias="LAB_UNSCHEDULABLE_SECONDS", description="0 or more seconds, the time to wait for a node with room"
    )
    idle_seconds: Annotated[int, Field(ge=0)] = Field(
        14400,
        alias="LAB_IDLE_SECONDS",
        description="seconds without activity after which a lab is stopped, or 0 for never",
    )
    max_age_seconds: Annotated[int, Field(ge=0)] = Field(
        604800, alias="LAB_MAX_AGE_SECONDS", description="seconds after which a lab is stopped, or 0 for never"
    )
    warning_seconds: Annotated[int, Field(ge=0)] = Field(
        900, alias="LAB_WARNING_SECONDS", description="seconds between the warning and the stop, or 0 for no warning"
    )
    stop_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        30, alias="LAB_STOP_SECONDS", description="1 to 3600 seconds for the programs of a stopping lab to save and end"
    )
    metrics_port: Annotated[int, Field(ge=1, le=65535)] = Field(
        9464, alias="HUB_METRICS_PORT", description="a port, 1 to 65535"
    )

    @property
    def pod_settings(self) -> PodSettings:
        """The part of the settings that the pods of all labs share."""
        return PodSettings(
            self.home_claim,
            self.project_claim,
            self.passwd,
            self.group,
            self.groups_policy,
            self.idle_seconds,
            self.max_age_seconds,
            self.warning_seconds,
            self.stop_seconds,
        )
