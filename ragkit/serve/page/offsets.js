// ragkit counts characters (code points); JavaScript counts UTF-16 units, of which an emoji and a
// rare Chinese character are two.

/** A function from offsets in code points to offsets in a string. */
export function unitsOf(text) {
  if (!/[\ud800-\udfff]/.test(text)) return (offset) => Math.min(offset, text.length);
  const starts = [];
  let unit = 0;
  for (const point of text) {
    starts.push(unit);
    unit += point.length;
  }
  starts.push(unit);
  return (offset) => starts[Math.min(offset, starts.length - 1)];
}
