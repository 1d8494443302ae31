/** Prometheus' text format, and what two readings of it say of the time between them. */

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/**
 * Return the samples of a page of metrics.
 * @param {string} page
 * @returns {Map<string, {labels: Record<string, string>, value: number}[]>}
 */
export function parsed(page) {
  const found = new Map();
  for (const line of page.split("\n")) {
    const [, name, inside, value] = LINE.exec(line) ?? [];
    if (name === undefined) continue;
    const labels = Object.fromEntries([...(inside ?? "").matchAll(LABEL)].map((one) => [one[1], unescaped(one[2])]));
    if (!found.has(name)) found.set(name, []);
    found.get(name).push({ labels, value: value === "+Inf" ? Infinity : Number(value) });
  }
  return found;
}

/** Return the sum of the samples of a name that suit. */
export function total(samples, name, suits = (_labels) => true) {
  return (samples.get(name) ?? []).filter((one) => suits(one.labels)).reduce((sum, one) => sum + one.value, 0);
}

/** Return by how much a sum grew between two readings; what began anew in between counts from nothing. */
export function growth(before, after, name, suits) {
  const [from, to] = [total(before, name, suits), total(after, name, suits)];
  return to >= from ? to - from : to;
}

/**
 * Return a quantile of what a histogram observed between two readings, straight lines within buckets; null of nothing.
 */
export function quantile(before, after, name, share, suits = (_labels) => true) {
  const bounds = [...new Set((after.get(`${name}_bucket`) ?? []).filter((one) => suits(one.labels)).map((one) => one.labels.le))];
  const cumulated = bounds
    .map((le) => ({ le: le === "+Inf" ? Infinity : Number(le), count: growth(before, after, `${name}_bucket`, (labels) => labels.le === le && suits(labels)) }))
    .sort((one, other) => one.le - other.le);
  const count = cumulated.at(-1)?.count ?? 0;
  if (!count) return null;
  const wanted = share * count;
  const nth = cumulated.findIndex((one) => one.count >= wanted);
  const { le, count: upTo } = cumulated[nth];
  const below = nth ? cumulated[nth - 1] : { le: 0, count: 0 };
  return Number.isFinite(le) ? below.le + ((le - below.le) * (wanted - below.count)) / (upTo - below.count) : below.le;
}

function unescaped(value) {
  return value.replace(/\\(.)/g, (_, one) => (one === "n" ? "\n" : one));
}
