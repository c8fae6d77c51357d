// A layered drawing of who calls whom, left to right: callers first.
// Depends on names alone, so that the picture does not jump when numbers move.

/**
 * Places nodes and routes edges.
 * `nodes`: names; `edges`: `{source, destination}`; `size`: `{width, widthOf(name, layers), nodeHeight, rowGap}`,
 * where `layers` is how many columns there are.
 * Returns `{width, height, nodes: Map name → {x, y, width}, edges: Map "a -> b" → [{x, y}…]}`
 * with x and y of node centres and of the points an edge passes.
 */
export function layout(nodes, edges, size) {
  const names = [...new Set(nodes)].sort();
  const known = new Set(names);
  const drawn = edges.filter((edge) => known.has(edge.source) && known.has(edge.destination)
    && edge.source !== edge.destination).sort((a, b) => compare(a.source, b.source) || compare(a.destination, b.destination));
  const forward = withoutCycles(names, drawn);
  const rank = ranks(names, forward);
  const graph = withWaypoints(names, forward, rank);
  order(graph);
  return place(graph, drawn, forward, size);
}

const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

/** Turns edges that close a cycle around, for ranking only. */
function withoutCycles(names, edges) {
  const out = new Map(names.map((name) => [name, []]));
  for (const edge of edges) out.get(edge.source).push(edge.destination);
  for (const targets of out.values()) targets.sort();
  const seen = new Map();
  const back = new Set();
  const visit = (name) => {
    seen.set(name, "open");
    for (const target of out.get(name)) {
      if (seen.get(target) === "open") back.add(`${name} -> ${target}`);
      else if (!seen.has(target)) visit(target);
    }
    seen.set(name, "done");
  };
  const called = new Set(edges.map((edge) => edge.destination));
  for (const name of [...names.filter((name) => !called.has(name)), ...names]) if (!seen.has(name)) visit(name);
  return edges.map((edge) => {
    const reversed = back.has(`${edge.source} -> ${edge.destination}`);
    return reversed
      ? { from: edge.destination, to: edge.source, reversed, edge }
      : { from: edge.source, to: edge.destination, reversed, edge };
  });
}

/** Longest path from a caller nobody calls. */
function ranks(names, forward) {
  const rank = new Map(names.map((name) => [name, 0]));
  for (let round = 0; round < names.length; round++) {
    for (const { from, to } of forward) rank.set(to, Math.max(rank.get(to), rank.get(from) + 1));
  }
  return rank;
}

/** Layers of cells; an edge over several layers passes an invisible cell in each. */
function withWaypoints(names, forward, rank) {
  const layers = Array.from({ length: Math.max(0, ...rank.values()) + 1 }, () => []);
  const cells = new Map();
  const add = (key, layer, name) => {
    const cell = { key, name, layer, before: [], after: [], at: layers[layer].length };
    layers[layer].push(cell);
    cells.set(key, cell);
    return cell;
  };
  for (const name of names) add(name, rank.get(name), name);
  for (const link of forward) {
    link.path = [cells.get(link.from)];
    for (let layer = rank.get(link.from) + 1; layer < rank.get(link.to); layer++) {
      link.path.push(add(`${link.from} -> ${link.to} @${layer}`, layer, null));
    }
    link.path.push(cells.get(link.to));
    for (let i = 1; i < link.path.length; i++) {
      link.path[i - 1].after.push(link.path[i]);
      link.path[i].before.push(link.path[i - 1]);
    }
  }
  return { layers, cells };
}

/** Sweeps to and fro; keeps the order with the fewest crossings. */
function order({ layers }) {
  let best = { crossings: Infinity };
  for (let sweep = 0; sweep < 24; sweep++) {
    const down = sweep % 2 === 0;
    for (const layer of down ? layers : [...layers].reverse()) {
      for (const cell of layer) cell.weight = centre(down ? cell.before : cell.after, cell.at);
      layer.sort((a, b) => a.weight - b.weight || a.key.localeCompare(b.key));
      layer.forEach((cell, at) => { cell.at = at; });
    }
    const crossings = layers.reduce((sum, layer) => sum + crossingsAfter(layer), 0);
    if (crossings < best.crossings) best = { crossings, layers: layers.map((layer) => [...layer]) };
  }
  best.layers?.forEach((cells, index) => {
    layers[index].splice(0, Infinity, ...cells);
    cells.forEach((cell, at) => { cell.at = at; });
  });
}

const centre = (cells, otherwise) =>
  cells.length ? cells.reduce((sum, cell) => sum + cell.at, 0) / cells.length : otherwise;

function crossingsAfter(layer) {
  const lines = layer.flatMap((cell) => cell.after.map((next) => [cell.at, next.at]));
  let crossings = 0;
  for (let i = 0; i < lines.length; i++) {
    for (let j = i + 1; j < lines.length; j++) {
      if ((lines[i][0] - lines[j][0]) * (lines[i][1] - lines[j][1]) < 0) crossings++;
    }
  }
  return crossings;
}

/** Rows: a cell wants to stand between its neighbours, and keeps its distance. */
function place({ layers, cells }, drawn, forward, size) {
  const gap = (a, b) => (a.name && b.name ? 1 : 0.62);
  for (const layer of layers) {
    layer.forEach((cell, at) => { cell.row = at ? layer[at - 1].row + gap(layer[at - 1], cell) : 0; });
  }
  for (let round = 0; round < 30; round++) {
    for (const layer of round % 2 ? layers : [...layers].reverse()) settle(layer, gap);
  }
  const rows = [...cells.values()].map((cell) => cell.row);
  const top = rows.length ? Math.min(...rows) : 0;
  const pitch = size.nodeHeight + size.rowGap;
  const spots = columns(layers, size);
  const at = (cell) => ({
    x: spots[cell.layer].centre,
    y: (cell.row - top) * pitch + size.nodeHeight / 2,
    width: cell.name ? size.widthOf(cell.name, layers.length) : 0,
  });
  // A line that passes a layer keeps level beside its nodes.
  const pass = (cell) => {
    const { y } = at(cell);
    const { centre, width } = spots[cell.layer];
    return [{ x: centre - width / 2, y }, { x: centre + width / 2, y }];
  };
  return {
    width: size.width,
    height: rows.length ? (Math.max(...rows) - top) * pitch + size.nodeHeight : 0,
    nodes: new Map([...cells.values()].filter((cell) => cell.name).map((cell) => [cell.name, at(cell)])),
    edges: new Map(forward.map(({ edge, path, reversed }) => {
      const points = path.flatMap((cell) => (cell.name ? [at(cell)] : pass(cell)));
      return [`${edge.source} -> ${edge.destination}`, reversed ? points.reverse() : points];
    })),
  };
}

/** Pixels between two layers in which a label fits. */
const LEAST_GAP = 64;

/** Centre and width of each layer: the more lines cross a gap, the more room it gets. */
function columns(layers, size) {
  const widths = layers.map((layer) => Math.max(0, ...layer.filter((cell) => cell.name).map((cell) => size.widthOf(cell.name, layers.length))));
  const weights = layers.slice(0, -1).map((layer) => 0.8 + Math.sqrt(layer.reduce((sum, cell) => sum + cell.after.length, 0)));
  const room = Math.max(0, size.width - widths.reduce((sum, width) => sum + width, 0));
  const whole = weights.reduce((sum, weight) => sum + weight, 0) || 1;
  const least = Math.min(LEAST_GAP, (room / Math.max(1, weights.length)) * 0.85);
  const rest = room - least * weights.length;
  let left = layers.length > 1 ? 0 : room / 2;
  return widths.map((width, i) => {
    const centre = left + width / 2;
    left += width + least + (rest * (weights[i] ?? 0)) / whole;
    return { centre, width };
  });
}

function settle(layer, gap) {
  for (const cell of layer) {
    const around = [...cell.before, ...cell.after];
    cell.want = around.length ? around.reduce((sum, other) => sum + other.row, 0) / around.length : cell.row;
  }
  // Both passes keep the distance; their mean neither drifts up nor down.
  const down = [];
  layer.forEach((cell, i) => { down[i] = i ? Math.max(cell.want, down[i - 1] + gap(layer[i - 1], cell)) : cell.want; });
  const up = [];
  for (let i = layer.length - 1; i >= 0; i--) {
    up[i] = i < layer.length - 1 ? Math.min(layer[i].want, up[i + 1] - gap(layer[i], layer[i + 1])) : layer[i].want;
  }
  layer.forEach((cell, i) => { cell.row = (down[i] + up[i]) / 2; });
}
