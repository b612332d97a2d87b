// What is pointed at, tapped, or reached by the arrow keys is told in words below the picture or chart.
const told = (mark) => mark.dataset.told ?? mark.querySelector("title").textContent;
function listen(place, figure, rows) {
  const line = figure.querySelector(".told");
  let now = null;
  const tell = (mark) => {
    if (now) now.classList.remove("now");
    now = mark;
    now.classList.add("now");
    line.textContent = told(mark);
  };
  for (const mark of Object.values(rows).flat()) {
    mark.addEventListener("pointerenter", () => tell(mark));
    mark.addEventListener("click", () => tell(mark));
  }
  place.addEventListener("keydown", (event) => {
    const row = /^Arrow(Right|Left)$/.test(event.key) ? "across" : /^Arrow(Down|Up)$/.test(event.key) ? "along" : "";
    const step = /Right|Down/.test(event.key) ? 1 : -1;
    const marks = rows[row] ?? [];
    if (!marks.length) return;
    event.preventDefault();
    const at = marks.indexOf(now);
    tell(marks[at < 0 ? 0 : (at + step + marks.length) % marks.length]);
    now.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
}
for (const picture of document.querySelectorAll(".picture")) {
  const marks = [...picture.querySelectorAll("[data-told]")];
  const isNode = (mark) => mark.classList.contains("node");
  listen(picture, picture.parentElement, { across: marks.filter(isNode), along: marks.filter((mark) => !isNode(mark)) });
}
for (const chart of document.querySelectorAll("figure > svg.chart")) {
  const marks = [...chart.querySelectorAll(".mark")];
  const line = document.createElement("p");
  line.className = "told";
  line.setAttribute("aria-live", "polite");
  chart.after(line);
  chart.setAttribute("tabindex", "0");
  chart.setAttribute("aria-keyshortcuts", "ArrowLeft ArrowRight");
  listen(chart, chart.parentElement, { across: marks });
}
// Paper shows everything.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => (part.open = true)));
