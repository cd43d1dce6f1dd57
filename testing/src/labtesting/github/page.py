"""The page on which one chooses who to be: GitHub's own asks for a password, this one only for a click."""

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
    """Give the page with a button for each person."""
    people = "\n".join(person_button(world, account) for account in world.accounts.values())
    asked = " ".join(f"<code>{escape(scope)}</code>" for scope in scopes) or "nothing"
    body = f"""<h1>Who do you want to be?</h1>
<p class="note">This is not GitHub, but a stand-in with made-up people. The hub asks for {asked}.</p>
<form method="post" action="{escape(target)}">
<ul>
{people}
</ul>
<button class="cancel" name="login" value="">Cancel</button>
</form>"""
    return PAGE.format(title="Sign in to the stand-in for GitHub", body=body)


def person_button(world: World, account: Account) -> str:
    """Give the button of one person, with what a click on it will show."""
    where = [one.login for one in world.memberships(account, "active")]
    where += [f"{one.login} (invited)" for one in world.memberships(account, "pending")]
    shown = ", ".join(where[:4]) + (f" and {len(where) - 4} more" if len(where) > 4 else "")
    suspended = " · suspended" if account.suspended else ""
    return (
        f'<li><button name="login" value="{escape(account.login)}"><strong>{escape(account.login)}</strong> '
        f"{escape(account.name)}<small>id {account.id}{suspended} · {escape(shown) or 'in no organization'}"
        "</small></button></li>"
    )


def error_page(message: str) -> str:
    """Give a page that says what is wrong."""
    return PAGE.format(title="This does not work", body=f"<h1>This does not work</h1><p>{escape(message)}</p>")
