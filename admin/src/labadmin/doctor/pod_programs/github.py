"""The program that checks in the hub's pod whether GitHub answers and accepts the OAuth app.

It uses the hub's settings, and requests a token with an invalid code. GitHub first checks the id and the secret of the
app, and then rejects the code. The program never prints the id or the secret.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

SECONDS = 6
NOT_FOUND = 404
PUBLIC = "https://github.com"
HEADERS = {"Accept": "application/json", "User-Agent": "jupyterlabdemo-doctor"}


def read_secret() -> str:
    """Return the client secret, read in the same way as by the hub."""
    file = os.environ.get("GITHUB_CLIENT_SECRET_FILE")
    return Path(file).read_text().strip() if file else os.environ.get("GITHUB_CLIENT_SECRET", "")


def ask(url: str, form: dict[str, str] | None = None) -> dict[str, object]:
    """Send a request to GitHub. Return the status and GitHub's error, or the reason why GitHub did not answer."""
    data = urllib.parse.urlencode(form).encode() if form else None
    request = urllib.request.Request(url, data, HEADERS)  # noqa: S310  (the hub accepts http and https only)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            status, body = answer.status, answer.read(65536)
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read(65536)
    except OSError as error:
        return {"url": url, "status": 0, "error": str(getattr(error, "reason", error))}
    try:
        content = json.loads(body)
        return {
            "url": url,
            "status": status,
            "error": str(content.get("error", "")) if isinstance(content, dict) else "",
        }
    except ValueError:
        return {"url": url, "status": status, "error": "no JSON"}


def main() -> None:
    """Print GitHub's answer to the invalid code, the answer of the API, and the organizations that do not exist."""
    github = os.environ.get("GITHUB_URL") or PUBLIC
    api = "https://api.github.com" if github == PUBLIC else f"{github}/api/v3"
    form = {
        "client_id": os.environ.get("GITHUB_CLIENT_ID", ""),
        "client_secret": read_secret(),
        "redirect_uri": os.environ.get("OAUTH_CALLBACK_URL", ""),
        "code": "no-code-of-anybody",
    }
    variables = ("GITHUB_ORGANIZATION_WHITELIST", "GITHUB_ALLOWED_ORGANIZATIONS")
    rules = ",".join(os.environ.get(variable, "") for variable in variables).split(",")
    names = sorted({rule.partition(":")[0].strip() for rule in rules} - {""})
    unknown = [name for name in names if ask(f"{api}/orgs/{urllib.parse.quote(name)}")["status"] == NOT_FOUND]
    print(
        json.dumps(
            {"unknown": unknown, "token": ask(f"{github}/login/oauth/access_token", form), "api": ask(f"{api}/")}
        )
    )


if __name__ == "__main__":
    main()
