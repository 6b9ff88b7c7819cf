"""Check a built site: ``python -m docs.check_site FOLDER``.

Every link, image, script and style inside the site must exist, and every anchor; every image must have a text in its
place. Links to other sites are not followed.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

TARGETS = {"a": "href", "link": "href", "img": "src", "script": "src", "source": "src"}


class Page(HTMLParser):
    """The targets, the anchors and the images without a text of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()
        self.mute: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect one element."""
        values = dict(attrs)
        self.anchors |= {name for key in ("id", "name") if (name := values.get(key)) is not None}
        target = values.get(TARGETS.get(tag, ""))
        if target:
            self.targets.append(target)
        if tag == "img" and "alt" not in values:
            self.mute.append(values.get("src") or "")


def check(folder: Path) -> list[str]:
    """Return what is wrong with the pages of a site, one line each."""
    paths = [path for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts]  # templates of the theme
    pages = {path.resolve(): Page(path.read_text()) for path in paths}
    found = []
    for path, page in pages.items():
        name = path.relative_to(folder.resolve())
        found += [f"{name}: an image without alt, {source}" for source in page.mute]
        for target in dict.fromkeys(page.targets):
            problem = missing(target, path, pages)
            if problem:
                found.append(f"{name}: {target}: {problem}")
    return found


def missing(target: str, path: Path, pages: dict[Path, Page]) -> str:
    """Return why the target of a link on a page does not exist, or an empty text."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return ""
    place = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not place.exists():
        return "no such file"
    anchor = unquote(parts.fragment)
    if anchor and place in pages and anchor not in pages[place].anchors:
        return "no such anchor"
    return ""


if __name__ == "__main__":
    problems = check(Path(sys.argv[1]))
    sys.stdout.write("".join(f"{line}\n" for line in problems))
    sys.exit(bool(problems))
