"""A graph of Graphviz as a picture inside a page: every node and link says what it is, to a pointer and to arrow keys."""

import html
import re
import xml.etree.ElementTree as ElementTree

import graphviz

from manifoldnet.views.dot import picture_text

SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"


def page_picture(graph: graphviz.Digraph, name: str, described: str, caption: str) -> str:
    """A <figure>: the picture, a line below that tells what is pointed at, and a caption.

    `name` sets it apart from other pictures of the page, `described` is for those who do not see it.
    """
    root = ElementTree.fromstring(picture_text(graph))
    width = re.match(r"[\d.]+", root.get("width", "600"))
    _tidy(root, name)
    for key in ("width", "height"):
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-label", described)
    ElementTree.register_namespace("", SVG[1:-1])
    text = ElementTree.tostring(root, encoding="unicode")
    # points are a third longer than the pixels of a page
    pixels = round(4 / 3 * float(width[0])) if width else 800
    return (
        f'<figure><div class="picture scroll" role="group" tabindex="0" style="--width:{pixels}px" '
        f'aria-label="{html.escape(name)}: left and right arrow keys go from node to node, '
        f'up and down from link to link">{text}</div>'
        f'<p class="told" aria-live="polite"></p><figcaption>{html.escape(caption)}</figcaption></figure>'
    )


def _tidy(element: ElementTree.Element, name: str) -> None:
    """Tooltips out of Graphviz's links, which lead nowhere, into what pages have for them; ids of the page's own."""
    if "id" in element.attrib:
        element.set("id", f"{name}-{element.attrib['id']}")
    kind = element.get("class")
    if kind in ("node", "edge", "cluster", "graph"):
        told = next((link.get(f"{LINK}title") for link in element.iter(f"{SVG}a") if link.get(f"{LINK}title")), None)
        for title in element.findall(f"{SVG}title"):
            if kind == "graph":
                element.remove(title)
            else:
                title.text = told or title.text
        if told and kind != "graph":
            element.set("data-told", told)
    for child in list(element):
        if child.tag == f"{SVG}a":
            place = list(element).index(child)
            element.remove(child)
            for offset, inner in enumerate(child):
                element.insert(place + offset, inner)
    for child in list(element):
        if child.tag == f"{SVG}g" and not len(child) and not (child.text or "").strip():
            element.remove(child)
        elif child.tag == f"{SVG}g" and any(inner.tag == f"{SVG}a" for inner in child):
            _tidy(child, name)
            place = list(element).index(child)
            element.remove(child)
            for offset, inner in enumerate(child):
                element.insert(place + offset, inner)
        else:
            _tidy(child, name)
