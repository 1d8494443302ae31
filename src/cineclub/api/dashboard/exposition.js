/** Prometheus' text format, and statistics of the time between two readings of it. */

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/**
 * Return the samples of a page of metrics.
 * @param {string} page
 * @returns {Map<string, {labels: Record<string, string>, value: number}[]>}
 */
export function parsed(page) {
  const samples = new Map();
  for (const line of page.split("\n")) {
    const [, name, inside, value] = LINE.exec(line) ?? [];
    if (name === undefined) continue;
    const labels = Object.fromEntries([...(inside ?? "").matchAll(LABEL)].map((match) => [match[1], unescaped(match[2])]));
    if (!samples.has(name)) samples.set(name, []);
    samples.get(name).push({ labels, value: value === "+Inf" ? Infinity : Number(value) });
  }
  return samples;
}

/** Return the sum of the samples of a name whose labels suit. */
export function total(samples, name, suits = (_labels) => true) {
  return (samples.get(name) ?? []).filter((sample) => suits(sample.labels)).reduce((sum, sample) => sum + sample.value, 0);
}

/** Return the growth of a sum between two readings; a counter that was reset counts from zero. */
export function growth(before, after, name, suits) {
  const [from, to] = [total(before, name, suits), total(after, name, suits)];
  return to >= from ? to - from : to;
}

/**
 * Return a quantile of a histogram's observations between two readings, linear within buckets; null without any.
 */
export function quantile(before, after, name, share, suits = (_labels) => true) {
  const bounds = [...new Set((after.get(`${name}_bucket`) ?? []).filter((sample) => suits(sample.labels)).map((sample) => sample.labels.le))];
  const cumulated = bounds
    .map((le) => ({ le: le === "+Inf" ? Infinity : Number(le), count: growth(before, after, `${name}_bucket`, (labels) => labels.le === le && suits(labels)) }))
    .sort((first, second) => first.le - second.le);
  const count = cumulated.at(-1)?.count ?? 0;
  if (!count) return null;
  const wanted = share * count;
  const nth = cumulated.findIndex((bucket) => bucket.count >= wanted);
  const { le, count: upTo } = cumulated[nth];
  const below = nth ? cumulated[nth - 1] : { le: 0, count: 0 };
  return Number.isFinite(le) ? below.le + ((le - below.le) * (wanted - below.count)) / (upTo - below.count) : below.le;
}

function unescaped(value) {
  return value.replace(/\\(.)/g, (_, character) => (character === "n" ? "\n" : character));
}
