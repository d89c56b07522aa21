/** A results table that is sorted by its column heads and picks one row; for tens and for hundreds of rows. */

import { el } from "./dom.js";

export interface Column<Row> {
  readonly key: string;
  readonly title: string;
  readonly isNumber?: boolean;
  cell(row: Row): string | Node;
  /** What rows are sorted by; a column without it is not sortable. */
  sortBy?(row: Row): string | number;
}

export interface TableOptions<Row> {
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  id(row: Row): string;
  /** Text of the button that opens a row. */
  openLabel(row: Row): string;
  onOpen(row: Row): void;
}

export class ResultsTable<Row> {
  readonly element: HTMLTableElement;
  readonly #options: TableOptions<Row>;
  readonly #body = el("tbody");
  readonly #rows = new Map<string, { row: Row; line: HTMLTableRowElement }>();
  #sorted: { key: string; descending: boolean } | null = null;
  #open: string | null = null;

  constructor(options: TableOptions<Row>) {
    this.#options = options;
    const heads = options.columns.map((column) => this.#head(column));
    this.element = el(
      "table",
      { class: "results-table" },
      el("caption", { class: "visually-hidden" }, options.caption),
      el("thead", {}, el("tr", {}, ...heads)),
      this.#body,
    );
  }

  /** Add a row, or draw it anew. */
  set(row: Row): void {
    const id = this.#options.id(row);
    const line = el("tr", { "data-id": id, "aria-current": id === this.#open ? "true" : null });
    this.#options.columns.forEach((column, i) => {
      const content = column.cell(row);
      const cell = i === 0 ? this.#firstCell(row, content) : content;
      const name = i === 0 ? "th" : "td";
      line.append(el(name, { scope: i === 0 ? "row" : null, class: column.isNumber ? "number" : null, "data-title": column.title }, cell));
    });
    const known = this.#rows.get(id);
    if (known) known.line.replaceWith(line);
    else this.#body.append(line);
    this.#rows.set(id, { row, line });
  }

  remove(id: string): void {
    this.#rows.get(id)?.line.remove();
    this.#rows.delete(id);
  }

  /** Mark the row that is shown. */
  open(id: string | null): void {
    this.#open = id;
    for (const [key, { line }] of this.#rows) {
      if (key === id) line.setAttribute("aria-current", "true");
      else line.removeAttribute("aria-current");
    }
  }

  #firstCell(row: Row, content: string | Node): HTMLElement {
    const onclick = () => this.#options.onOpen(row);
    return el("button", { type: "button", class: "row-button", "aria-label": this.#options.openLabel(row), onclick }, content);
  }

  #head(column: Column<Row>): HTMLTableCellElement {
    const attributes = { scope: "col", class: column.isNumber ? "number" : null, "data-key": column.key };
    if (!column.sortBy) return el("th", attributes, column.title);
    return el("th", attributes, el("button", { type: "button", onclick: () => this.#sort(column) }, column.title));
  }

  #sort(column: Column<Row>): void {
    const descending = this.#sorted?.key === column.key && !this.#sorted.descending;
    this.#sorted = { key: column.key, descending };
    const entries = [...this.#rows.values()].sort((a, b) => {
      const [x, y] = [column.sortBy!(a.row), column.sortBy!(b.row)];
      const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
      return descending ? -order : order;
    });
    this.#body.append(...entries.map(({ line }) => line));
    for (const head of this.element.querySelectorAll("thead th")) {
      const isThis = head.getAttribute("data-key") === column.key;
      if (isThis) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  }
}
