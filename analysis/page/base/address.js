// The address names a question, a trace of it, and an equation of that: #q=ID, #q=ID&t=INDEX or
// #q=ID&t=INDEX&e=NUMBER, the id encoded.

function addressOf(id, index, equation) {
  const trace = index === undefined || index === null ? "" : "&t=" + index;
  return "#q=" + encodeURIComponent(id) + trace + (trace && equation !== undefined && equation !== null ? "&e=" + equation : "");
}

// {id, trace, equation} (null for none), or null where the address names no question.
function readAddress() {
  const found = /^#q=(.*?)(?:&t=(\d+)(?:&e=(\d+))?)?$/s.exec(location.hash);
  if (!found) return null;
  const [, name, trace, equation] = found;
  let id = name;
  try { id = decodeURIComponent(name); } catch (error) { /* not encoded: taken as it stands */ }
  const numbered = (text) => (text === undefined ? null : Number(text));
  return { id: id, trace: numbered(trace), equation: numbered(equation) };
}
