// Sorts tables by their headings and filters them. Without it every table is there to read.
"use strict";

const failed = (row) => row.classList.contains("failed");

function keyOf(row, place, isNumber) {
  const cell = row.cells[place];
  if (!isNumber) return cell.textContent.trim().toLowerCase();
  return cell.dataset.key === "" ? null : Number(cell.dataset.key);
}

// Failed rows stay last and empty cells come after known ones, whichever way the rest is ordered.
function compare(a, b, down) {
  if (failed(a.row) !== failed(b.row)) return failed(a.row) ? 1 : -1;
  if ((a.key === null) !== (b.key === null)) return a.key === null ? 1 : -1;
  if (a.key === b.key) return a.place - b.place;
  return (a.key < b.key ? -1 : 1) * (down ? -1 : 1);
}

function sort(table, heading, place) {
  const down = heading.getAttribute("aria-sort") === "ascending";
  for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = table.tBodies[0];
  const isNumber = heading.classList.contains("number");
  const rows = Array.from(body.rows, (row, i) => ({ row, place: i, key: keyOf(row, place, isNumber) }));
  rows.sort((a, b) => compare(a, b, down));
  body.append(...rows.map(({ row }) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  Array.from(table.tHead.rows[0].cells).forEach((heading, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    if (heading.title) button.title = heading.title;
    button.addEventListener("click", () => sort(table, heading, place));
    heading.replaceChildren(button);
  });
}

const filters = document.getElementById("filters");
if (filters) {
  const sections = Array.from(document.querySelectorAll("section.filtered"));
  const bodies = sections.filter((section) => !section.querySelector("section.filtered"));

  // A ranking across tasks belongs to no dataset or type, so it goes when one is chosen.
  const fits = (section, name, value) => !value || section.dataset[name] === value;

  function rowsShown(section, text) {
    const ofTask = (section.dataset.task || "").toLowerCase().includes(text);
    let shown = 0;
    for (const row of section.querySelectorAll("tbody tr")) {
      row.hidden = !ofTask && !row.cells[0].parentElement.textContent.toLowerCase().includes(text);
      if (!row.hidden) shown += 1;
    }
    return shown;
  }

  function apply() {
    const text = filters.elements.text.value.trim().toLowerCase();
    let total = 0;
    for (const section of bodies) {
      const wanted = ["dataset", "regime", "type"].every((name) => fits(section, name, filters.elements[name].value));
      const shown = wanted ? rowsShown(section, text) : 0;
      section.hidden = shown === 0;
      total += shown;
    }
    for (const section of sections) {
      if (!bodies.includes(section)) section.hidden = !bodies.some((body) => section.contains(body) && !body.hidden);
    }
    document.getElementById("none").hidden = total > 0;
    filters.querySelector("output").textContent = `${total.toLocaleString("en")} rows`;
  }

  filters.hidden = false;
  filters.addEventListener("input", apply);
  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.addEventListener("reset", () => setTimeout(apply));
  apply();
}
