"""The types of the settings in site.toml."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

ORGANIZATION = re.compile(r"[a-z0-9][a-z0-9-]*(:[a-z0-9_][a-z0-9._-]*)?", re.IGNORECASE)
LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
# The format in which `manifests.format_value` writes a value into a variable
Form = Literal["plain", "on-off", "spaces"]


class Table(BaseModel):
    """A table of site.toml. It rejects unknown keys, and values of a wrong type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Secret(Table):
    """The source of a secret: a file or an environment variable. It never contains the secret."""

    file: Annotated[str, StringConstraints(min_length=1)] | None = Field(None, description="the path of a file")
    environment: Annotated[str, StringConstraints(min_length=1)] | None = Field(
        None, description="the name of an environment variable"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.file is None) == (self.environment is None):
            raise ValueError("not exactly one of file and environment")
        return self


SECRET = '{ file = "PATH" } or { environment = "NAME" }'  # noqa: S105  (a description, no secret)


def required(wanted: str, variable: str = "", **limits: Any) -> Any:
    """Declare a required setting of site.toml as a pydantic field.

    Parameters
    ----------
    wanted
        Description of the accepted values, for error messages.
    variable
        Environment variable of the component that gets the value. Empty if `configure` uses the value in another way.
    limits
        Constraints of pydantic's Field.
    """
    return Field(description=wanted, json_schema_extra={"variable": variable, "form": "plain"}, **limits)


def optional(wanted: str, variable: str = "", form: Form = "plain", **limits: Any) -> Any:
    """Declare an optional setting of site.toml. Without it the component's own default applies."""
    return Field(None, description=wanted, json_schema_extra={"variable": variable, "form": form}, **limits)


def check_organization(text: str) -> str:
    """Check that a text is `org` or `org:team`."""
    if not ORGANIZATION.fullmatch(text):
        raise ValueError("neither org nor org:team")
    return text


def check_admin(found: Any) -> Any:
    """Check that a value is a GitHub id or `org:team`."""
    if isinstance(found, bool) or not isinstance(found, int | str):
        raise ValueError("neither a number nor text")
    if isinstance(found, int):
        if found < 1:
            raise ValueError("not a GitHub id")
    elif not found.isdigit() and ":" not in check_organization(found):
        raise ValueError("neither a GitHub id nor org:team")
    return found


def check_host(text: str) -> str:
    """Check that a text is a host name or an IP address, without a port."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*", text) or re.fullmatch(r"[^:]*:[0-9]+", text):
        raise ValueError("not a host name without a port")
    return text


def check_name(text: str) -> str:
    """Check that a text is a DNS name in lower case."""
    if len(text) > 253 or not re.fullmatch(rf"{LABEL}(\.{LABEL})*", text):
        raise ValueError("not a DNS name in lower case")
    return text


Text = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\n\r]*\S[^\n\r]*$")]
Host = Annotated[str, AfterValidator(check_host)]
Name = Annotated[str, AfterValidator(check_name)]
DnsLabel = Annotated[str, StringConstraints(pattern=rf"^{LABEL}$")]
HttpsUrl = Annotated[str, StringConstraints(pattern=r"^https://[A-Za-z0-9.-]+(:[0-9]+)?(/[^\s?#]*)?$")]
ServiceUrl = Annotated[str, StringConstraints(pattern=r"^http://[A-Za-z0-9.-]+:[0-9]+$")]
Organization = Annotated[str, AfterValidator(check_organization)]
Admin = Annotated[Any, AfterValidator(check_admin)]
