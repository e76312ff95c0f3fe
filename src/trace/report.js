"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);

  // ------------------------------------------------------------------------------------ numbers
  const minus = (text) => text.replace(/-/g, "\u2212");
  const number = (x, digits = 3) => (x === null ? "\u2212\u221e" : minus(String(Number(x.toPrecision(digits)))));
  const fixed = (x, digits = 3) => (x === null ? "\u2212\u221e" : minus(x.toFixed(digits)));
  const grouped = (x) => (x === null ? "\u2013" : x.toLocaleString("en-US"));
  const percent = (x) => (x > 0 && x < 1e-4 ? "< 0.01\u202f%" : minus((100 * x).toFixed(x < 0.01 ? 2 : 1)) + "\u202f%");
  const seconds = (s) => (s === 0 ? "0\u202fs" : s < 1e-3 ? number(1e6 * s) + "\u202f\u00b5s" : s < 1 ? number(1e3 * s) + "\u202fms" : number(s) + "\u202fs");
  const bytes = (b) => {
    const unit = b < 1e3 ? 0 : b < 1e6 ? 1 : b < 1e9 ? 2 : 3;
    return number(b / 1000 ** unit) + "\u202f" + ["B", "kB", "MB", "GB"][unit];
  };

  // ------------------------------------------------------------------------------------ charts: one cursor for all
  const B = data.batches;
  const readouts = {
    ess: (i) => `${number(B.ess[i], 4)}${B.resampled[i] ? ", resampled" : ""}`,
    log_z: (i) => fixed(B.log_z[i]) + (B.error[i] === null ? "" : ` \u00b1 ${number(B.error[i], 2)}`),
    lineages: (i) => grouped(B.lineages[i]),
    state: (i) => B.state[i].map(grouped).join(" + "),
    contexts: (i) => grouped(B.contexts[i]),
    moved: (i) => `${grouped(B.moved[i])} (${bytes(B.bytes[i])})`,
    time: (i) => seconds(B.time[i].reduce((a, b) => a + b, 0)),
  };
  const charts = [...document.querySelectorAll("[data-chart]")];
  const count = B.number.length;
  const left = 50, step = (440 - 50 - 10) / Math.max(count, 1);
  let cursor = -1;

  function moveCursor(i) {
    cursor = i;
    for (const chart of charts) {
      const line = chart.querySelector(".cursor");
      line.classList.toggle("on", i >= 0);
      if (i >= 0) {
        line.setAttribute("x1", left + (i + 0.5) * step);
        line.setAttribute("x2", left + (i + 0.5) * step);
      }
      chart.querySelector("output").textContent = i < 0 ? "" : `batch ${B.number[i]}: ${readouts[chart.dataset.chart](i)}`;
    }
  }
  const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
  for (const chart of charts) {
    const svg = chart.querySelector("svg");
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * 440;
      moveCursor(clamp(Math.floor((x - left) / step), 0, count - 1));
    });
    svg.addEventListener("pointerleave", () => moveCursor(-1));
    chart.addEventListener("keydown", (event) => {
      const next = { ArrowRight: cursor + 1, ArrowLeft: cursor < 0 ? count - 1 : cursor - 1, Home: 0, End: count - 1 }[event.key];
      if (event.key === "Escape") moveCursor(-1);
      if (next === undefined) return;
      event.preventDefault();
      moveCursor(clamp(next, 0, count - 1));
    });
    chart.addEventListener("blur", () => moveCursor(-1));
  }

  // ------------------------------------------------------------------------------------ genealogy
  const G = data.genealogy;
  if (G) {
    const tree = byId("tree"), details = byId("details");
    const width = tree.viewBox.baseVal.width;
    let here = null, held = false;

    /** The nodes from (column c, k) back to the first column. */
    const chain = (c, k) => {
      const nodes = [];
      for (; ; --c) {
        nodes.push([c, k]);
        if (c === 0) return nodes;
        k = G.columns[c].parent[k];
      }
    };
    const curve = (c, k) => {
      const x0 = G.columns[c - 1].x, y0 = G.columns[c - 1].y[G.columns[c].parent[k]], x1 = G.columns[c].x, y1 = G.columns[c].y[k];
      const middle = (x0 + x1) / 2;
      return `M${x0} ${y0}C${middle} ${y0} ${middle} ${y1} ${x1} ${y1}`;
    };
    const element = (tag, text, css) => {
      const node = document.createElement(tag);
      if (text !== undefined) node.textContent = text;
      if (css) node.className = css;
      return node;
    };

    function weightTable(column, k) {
      const rows = G.potentials.map((name, p) => [name || "(no name)", column.phi[k][p], column.dphi[k][p]]);
      const known = column.known;
      const sum = rows.reduce((total, row) => (row[2] === null || total === null ? null : total + row[2]), 0);
      const change = column.change[k];
      if (change !== null && sum !== null) rows.push(["model and proposal", undefined, change - sum]);
      rows.push(["log-weight", column.weight[k], change]);
      const largest = Math.max(...rows.map((row) => Math.abs(row[2] || 0)), 1e-9);
      const table = element("table"), head = table.createTHead().insertRow();
      for (const title of ["", "log value", "this batch", ""]) head.append(element("th", title));
      for (const [name, value, difference] of rows) {
        const line = table.insertRow();
        line.append(element("th", name), element("td", value === undefined ? "" : fixed(value)));
        line.append(element("td", known ? (difference > 0 ? "+" : "") + fixed(difference) : "\u2013"));
        const cell = element("td", undefined, "swing"), bar = element("i", undefined, difference > 0 ? "" : "minus");
        bar.style.width = known ? `${(100 * Math.abs(difference || 0)) / largest}%` : "0";
        cell.append(bar);
        line.append(cell);
      }
      return table;
    }

    function describe(c, k) {
      const column = G.columns[c], nodes = chain(c, k).reverse();
      const state = [`batch ${column.batch}`, `rank ${column.rank[k]}`, `${percent(column.share[k] || 0)} of the weight`];
      if (column.done[k]) state.push("finished");
      const text = element("p", undefined, "text");
      text.dir = "auto";
      text.append((G.starts ? "" : "\u2026") + nodes.slice(0, -1).map(([d, j]) => G.columns[d].text[j]).join(""));
      text.append(element("mark", column.text[k]));
      details.replaceChildren(element("h3", `Particle ${column.id[k]} \u00b7 ${state.join(" \u00b7 ")}`), text, weightTable(column, k));
    }

    function select(c, k) {
      here = [c, k];
      const column = G.columns[c];
      byId("chain").setAttribute("d", chain(c, k).filter(([d]) => d > 0).map(([d, j]) => curve(d, j)).join(""));
      for (const [name, value] of [["cx", column.x], ["cy", column.y[k]], ["r", 8]]) byId("here").setAttribute(name, value);
      describe(c, k);
    }
    function letGo() {
      held = false;
      select(G.columns.length - 1, G.answer);
    }
    function nearest(event) {
      const box = tree.getBoundingClientRect(), scale = width / box.width;
      const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
      let best = null, least = Infinity;
      G.columns.forEach((column, c) => {
        if (Math.abs(column.x - x) > 60 && G.columns.length > 2) return;
        column.y.forEach((cy, k) => {
          const distance = Math.hypot(column.x - x, 1.5 * (cy - y));
          if (distance < least) [least, best] = [distance, [c, k]];
        });
      });
      return least < 40 ? best : null;
    }
    tree.addEventListener("pointermove", (event) => {
      if (held) return;
      const found = nearest(event);
      if (found && (here[0] !== found[0] || here[1] !== found[1])) select(...found);
    });
    tree.addEventListener("click", (event) => {
      const found = nearest(event);
      if (!found) return letGo();
      held = !(held && here[0] === found[0] && here[1] === found[1]);
      select(...found);
    });

    /** The neighbour above or below in the picture. */
    const beside = (c, k, direction) => {
      const y = G.columns[c].y;
      const order = [...y.keys()].sort((a, b) => y[a] - y[b]);
      return order[clamp(order.indexOf(k) + direction, 0, order.length - 1)];
    };
    tree.addEventListener("keydown", (event) => {
      if (event.key === "Escape") return letGo();
      const last = G.columns.length - 1;
      const [c, k] = here;
      const child = c < last ? G.columns[c + 1].parent.indexOf(k) : -1;
      const next = {
        ArrowLeft: c > 0 ? [c - 1, G.columns[c].parent[k]] : [c, k],
        ArrowRight: child >= 0 ? [c + 1, child] : [c, k],
        ArrowUp: [c, beside(c, k, -1)], ArrowDown: [c, beside(c, k, 1)],
        Home: chain(c, k).at(-1), End: [last, 0], Enter: [c, k],
      }[event.key];
      if (!next) return;
      event.preventDefault();
      if (event.key === "Enter") held = !held;
      select(...next);
    });
    letGo();
    for (const radio of document.querySelectorAll("input[name=colour]"))
      radio.addEventListener("change", () => { byId("genealogy").className = `by-${radio.value}`; });
  }

  // ------------------------------------------------------------------------------------ the rest
  const copy = byId("copy");
  copy.hidden = !navigator.clipboard;
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(byId("command").textContent);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(byId("command"));
    }
  });
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
})();
