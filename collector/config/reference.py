"""``docs/configuration.md``, made of the catalogue."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from collector.config.options import OPTIONS, Option

HEAD = """# Configuration

<!-- Made by `collector config docs`. Change the catalogue in collector/config/catalogue/, not this page. -->

Every option can be given as a flag, as an environment variable, and most also in a YAML file. A flag outranks the
environment, the environment the file, the file the default. `collector serve --help` shows the options that act here,
`collector config show` what they are set to and by what, and `collector config write` prints them as a file.

- An empty environment variable counts as not set.
- A list is comma-separated (CSV). What the environment and each flag say of it adds up; an empty flag takes back what was
  said before it. In the file it is a list of texts, and stands alone.
- A duration has units, from `ns` to `w`: `30s`, `1m30s`, `7d`.
- A map, links and providers are YAML or JSON as flags and in the environment, and stand in the file as they are.
- Providers of external authentication and servers to ask may be given member by member: `CODER_EXTERNAL_AUTH_<n>_<MEMBER>`
  and `COLLECTOR_UPSTREAM_<n>_<MEMBER>`, where the numbers begin at 0 and have no gap.
- The file is named by `CODER_CONFIG_PATH`. An unknown key in it stops the start, and the message says the nearest known one.
- A secret is never shown, and cannot stand in the file.

An option that the catalogue of a Coder server has and this service has no use for is read, checked and shown in
[`/api/v2/deployment/config`](api.md) like any other. It stands under [Without effect here](#without-effect-here), and setting
it logs one warning.
"""


def reference(options: Sequence[Option] = OPTIONS) -> str:
    """The page: first what acts, then what does not, each by group."""
    acting = [option for option in options if option.acts]
    inert = [option for option in options if not option.acts]
    parts = [HEAD, "## What acts here\n", *_groups(acting), "## Without effect here\n", *_groups(inert)]
    return "\n".join(parts).rstrip("\n") + "\n"


def _groups(options: Iterable[Option]) -> Iterator[str]:
    by_heading: dict[str, list[Option]] = defaultdict(list)
    for option in options:
        by_heading[" / ".join(group.name for group in option.groups) or "General"].append(option)
    for heading, members in by_heading.items():
        yield f"### {heading}\n"
        if members[0].groups and members[0].groups[-1].description:
            yield f"{members[0].groups[-1].description}\n"
        yield "| option | type | default | meaning |\n|---|---|---|---|"
        yield from map(_row, members)
        yield ""


def _row(option: Option) -> str:
    names = [f"`{option.env}`" if option.env else "", f"`--{option.flag}`" if option.flag else ""]
    names += [f"`-{option.shorthand}`" if option.shorthand else "", f"`{option.yaml_path}`" if option.yaml else ""]
    default = f"`{option.default}`" if option.default else ""
    return f"| {'<br>'.join(filter(None, names))} | {option.type} | {default} | {_meaning(option)} |".replace("|  |", "| |")


def _meaning(option: Option) -> str:
    parts = [option.description]
    if option.choices:
        parts.append(f"One of {', '.join(f'`{choice}`' for choice in option.choices)}.")
    if option.minimum:
        parts.append(f"At least `{option.minimum}`.")
    if option.use_instead:
        parts.append(f"Deprecated: use {' and '.join(option.use_instead)}.")
    if option.secret:
        parts.append("A secret.")
    return " ".join(parts)
