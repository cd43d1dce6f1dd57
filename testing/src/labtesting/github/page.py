"""The login page of the simulated GitHub: a user logs in with one click, without a password."""

from __future__ import annotations

from html import escape

from labtesting.github.world import Account, World

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; color: #1f2328; background: #f6f8fa; margin: 0; }}
  main {{ max-width: 40rem; margin: 3rem auto; padding: 0 1rem; }}
  h1 {{ font-size: 1.5rem; margin: 0 0 .25rem; }}
  p {{ margin: 0 0 1rem; }}
  .note {{ color: #59636e; }}
  ul {{ list-style: none; margin: 1.5rem 0; padding: 0; display: grid; gap: .5rem; }}
  button {{ font: inherit; color: inherit; width: 100%; text-align: left; cursor: pointer; background: #fff;
            border: 1px solid #d1d9e0; border-radius: 6px; padding: .6rem 1rem; }}
  button:hover, button:focus-visible {{ border-color: #0969da; outline: 2px solid #0969da33; }}
  button small {{ display: block; color: #59636e; }}
  .cancel {{ width: auto; background: none; }}
  code {{ background: #eff2f5; border-radius: 4px; padding: .1rem .3rem; }}
</style>
<main>
{body}
</main>
</html>
"""


def authorize_page(world: World, target: str, scopes: list[str]) -> str:
    """Return the login page, with a button for each user."""
    buttons = "\n".join(user_button(world, account) for account in world.accounts.values())
    requested = " ".join(f"<code>{escape(scope)}</code>" for scope in scopes) or "none"
    body = f"""<h1>Choose a user</h1>
<p class="note">This is a simulated GitHub with sample users. The hub requests these scopes: {requested}.</p>
<form method="post" action="{escape(target)}">
<ul>
{buttons}
</ul>
<button class="cancel" name="login" value="">Cancel</button>
</form>"""
    return PAGE.format(title="Log in to the simulated GitHub", body=body)


def user_button(world: World, account: Account) -> str:
    """Return the HTML of a user's button, with the user's id, state and first organizations."""
    names = [organization.login for organization in world.memberships(account, "active")]
    names += [f"{organization.login} (invited)" for organization in world.memberships(account, "pending")]
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    suspended = " · suspended" if account.suspended else ""
    return (
        f'<li><button name="login" value="{escape(account.login)}"><strong>{escape(account.login)}</strong> '
        f"{escape(account.name)}<small>id {account.id}{suspended} · {escape(shown) or 'no organizations'}"
        "</small></button></li>"
    )


def error_page(message: str) -> str:
    """Return a page with an error message."""
    return PAGE.format(title="The request failed", body=f"<h1>The request failed</h1><p>{escape(message)}</p>")
