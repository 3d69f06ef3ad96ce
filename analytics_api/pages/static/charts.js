/* Reads a chart off: pointer or arrow keys choose a bar, and its exact figure from the table beside is said. */

export function readable(root) {
  for (const svg of root.querySelectorAll("svg.chart[data-table]")) {
    if (svg.dataset.ready) continue;
    svg.dataset.ready = "1";
    const table = document.getElementById(svg.dataset.table);
    const output = svg.closest("figure").querySelector("output");
    if (!table || !output) continue;
    const rows = [...table.tBodies[0].rows];
    const column = Number(svg.dataset.column);
    const left = Number(svg.dataset.left);
    const width = Number(svg.dataset.width);
    const count = Number(svg.dataset.count);
    const mark = svg.querySelector(".mark");
    const byPlace = new Map(rows.map((row) => [Number(row.dataset.bar), row]));
    let at = -1;

    const show = (place) => {
      at = Math.min(Math.max(place, 0), count - 1);
      const row = byPlace.get(at);
      const label = row ? row.cells[0].textContent : svg.dataset.labels?.split("|")[at] ?? "";
      output.textContent = row ? `${label.trim()}: ${row.cells[column].textContent.trim()}` : `${label.trim()} ${svg.dataset.none}`;
      mark.setAttribute("x", left + (at * width) / count);
      mark.setAttribute("width", Math.max(width / count, 1));
      mark.removeAttribute("visibility");
    };
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
      if (x >= left && x <= left + width) show(Math.floor(((x - left) / width) * count));
    });
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, Home: -count, End: count }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      show(at < 0 ? (step > 0 ? 0 : count - 1) : at + step);
    });
  }
}
