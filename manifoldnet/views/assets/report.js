// What is pointed at, tapped, or reached by the arrow keys is told in words below the picture.
for (const picture of document.querySelectorAll(".picture")) {
  const told = picture.parentElement.querySelector(".told");
  const marks = [...picture.querySelectorAll("[data-told]")];
  const nodes = marks.filter((mark) => mark.classList.contains("node"));
  let now = null;
  const tell = (mark) => {
    if (now) now.classList.remove("now");
    now = mark;
    now.classList.add("now");
    told.textContent = mark.dataset.told;
  };
  for (const mark of marks) {
    mark.addEventListener("pointerenter", () => tell(mark));
    mark.addEventListener("click", () => tell(mark));
  }
  picture.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step || !nodes.length) return;
    event.preventDefault();
    const place = nodes.indexOf(now);
    tell(nodes[place < 0 ? 0 : (place + step + nodes.length) % nodes.length]);
    now.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
}
// Paper shows everything.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => (part.open = true)));
