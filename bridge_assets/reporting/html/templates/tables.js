// Search and sort for the tables of a report. Without it the tables are complete, in the order they were written.
(() => {
  "use strict";
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  const plain = (text) => text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
  const element = (name, properties, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };
  // What a cell says without its notes; data-value where the text is not what is to be sorted by.
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return "";
    if (cell.dataset.value !== undefined) return cell.dataset.value;
    const copy = cell.cloneNode(true);
    copy.querySelectorAll(".small, .reasons, svg").forEach((note) => note.remove());
    return copy.textContent.trim();
  };
  const numberOf = (text) => {
    const found = text.replace(/,/g, "").replace(/\u2212/g, "-").match(/-?\d+(\.\d+)?/);
    return found ? Number(found[0]) : NaN;
  };

  function enhance(area) {
    const table = area.querySelector("table");
    const body = table && table.tBodies[0];
    if (!body || !table.tHead || body.rows.length < 2) return;
    const rows = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    const status = element("span", { className: "found" });
    status.setAttribute("role", "status");
    const texts = rows.map((row) => plain(row.textContent));
    let sorted = { column: -1, down: false };

    function sort(column, down) {
      const isNumber = column >= 0 && heads[column].classList.contains("number");
      const order = rows.map((row, index) => {
        const text = column < 0 ? "" : valueOf(row, column);
        return { row, index, text, number: isNumber ? numberOf(text) : 0 };
      });
      const missing = (each) => (isNumber ? Number.isNaN(each.number) : each.text === "" || each.text === "\u2013");
      order.sort((a, b) => {
        if (column < 0) return a.index - b.index;
        if (missing(a) !== missing(b)) return missing(a) ? 1 : -1;
        const difference = isNumber ? a.number - b.number || 0 : collator.compare(a.text, b.text);
        return (down ? -difference : difference) || a.index - b.index;
      });
      body.append(...order.map((each) => each.row));
      sorted = { column, down };
      heads.forEach((head, each) => {
        if (each === column) head.setAttribute("aria-sort", down ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
      if (choice) choice.value = column < 0 ? "" : `${column} ${down ? "down" : "up"}`;
    }

    // First a number's highest or a text's A, then the other way round, then as the report lists them.
    function next(column) {
      const first = heads[column].classList.contains("number");
      if (sorted.column !== column) sort(column, first);
      else if (sorted.down === first) sort(column, !first);
      else sort(-1, false);
    }

    const names = heads.map((head) => head.textContent.trim());
    heads.forEach((head, column) => {
      if (!names[column] || head.querySelector(".span")) return;
      const button = element("button", { type: "button", className: "sort" }, ...head.childNodes);
      button.addEventListener("click", () => next(column));
      head.append(button);
    });

    const tools = element("div", { className: "tools" });
    if (area.dataset.find) {
      const input = element("input", { type: "search", autocomplete: "off", spellcheck: false });
      input.addEventListener("input", () => {
        const words = plain(input.value).split(/\s+/).filter(Boolean);
        let found = 0;
        rows.forEach((row, index) => {
          row.hidden = !words.every((word) => texts[index].includes(word));
          if (!row.hidden) found += 1;
        });
        status.textContent = words.length ? `${found || "None"} of ${rows.length}` : "";
      });
      tools.append(element("label", {}, area.dataset.find, " ", input), status);
    }
    // On a phone a table of cards has no head to sort by.
    let choice = null;
    if (table.classList.contains("stacked")) {
      choice = element("select", {}, element("option", { value: "" }, "as listed"));
      heads.forEach((head, column) => {
        if (!head.querySelector(".sort")) return;
        const isNumber = head.classList.contains("number");
        for (const down of [isNumber, !isNumber]) {
          const how = isNumber ? (down ? "highest first" : "lowest first") : down ? "Z to A" : "A to Z";
          choice.append(element("option", { value: `${column} ${down ? "down" : "up"}` }, `${names[column]}, ${how}`));
        }
      });
      choice.addEventListener("change", () => {
        const [column, direction] = choice.value.split(" ");
        sort(column ? Number(column) : -1, direction === "down");
      });
      tools.append(element("label", { className: "sort-by" }, "Sort ", choice));
    }
    if (tools.childNodes.length) area.before(tools);
  }

  const areas = [...document.querySelectorAll(".scroll")];
  areas.filter((area) => area.dataset.find !== undefined).forEach(enhance);
  // Only what scrolls needs to be a stop of the keyboard.
  const watcher = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth + 1) target.tabIndex = 0;
      else if (target !== document.activeElement) target.removeAttribute("tabindex");
    }
  });
  areas.forEach((area) => watcher.observe(area));
})();
