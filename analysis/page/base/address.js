// The address names a question, and a trace of it: #q=ID or #q=ID&t=INDEX, each part encoded.

function addressOf(id, index) {
  return "#q=" + encodeURIComponent(id) + (index === undefined ? "" : "&t=" + index);
}

// {id, trace} (null for no trace), or null where the address names no question.
function readAddress() {
  const found = /^#q=(.*?)(?:&t=(\d+))?$/s.exec(location.hash);
  if (!found) return null;
  const [, name, trace] = found;
  let id = name;
  try { id = decodeURIComponent(name); } catch (error) { /* not encoded: taken as it stands */ }
  return { id: id, trace: trace === undefined ? null : Number(trace) };
}
