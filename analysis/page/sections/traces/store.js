// What is shown of each question: plain in the page, or in packed blocks, in the page or in script files beside it, that are
// unpacked when a question of theirs is opened. Such a file calls consilience(stamp, number, block).

function QuestionStore(rows, shards) {
  const known = new Map();
  const asked = new Map(); // block number to the promise of its questions
  const beside = new Map(); // block number to what its file brought
  const places = new Map(rows.map((row, place) => [row.id, place]));
  const whole = shards === null || shards.folder === null;
  let plain = shards === null; // details that stand in the page as they are and weren't read yet

  function readPlain() {
    if (plain) for (const [name, detail] of Object.entries(read("detail-data"))) known.set(name, detail);
    plain = false;
  }

  function blockOf(id) {
    const place = places.get(id);
    return shards.firsts.filter((first) => first <= place).length;
  }

  function loadFile(number) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      const name = shards.folder + "/" + String(number).padStart(4, "0") + ".js";
      script.onload = () => { const block = beside.get(number); beside.delete(number); resolve(block); };
      script.onerror = () => reject(new Error(name + " could not be loaded: it belongs beside this page."));
      script.src = name;
      document.head.append(script);
    });
  }

  if (!whole) {
    window.consilience = (stamp, number, block) => { if (stamp === shards.stamp) beside.set(number, block); };
  }

  async function open(number) {
    const block = shards.folder === null ? find("block-" + number).textContent : await loadFile(number);
    if (block === undefined) throw new Error("The files beside this page are of another writing of it: open it again, or write it again with cot report.");
    const pairs = JSON.parse(await (await unpack(block)).text());
    for (const [id, detail] of pairs) known.set(id, detail);
  }

  function load(number) {
    if (!asked.has(number)) asked.set(number, open(number).catch((error) => { asked.delete(number); throw error; }));
    return asked.get(number);
  }

  // Calls `use` with what is shown of the question, at once where it is here; else `fail` says why.
  function get(id, use, fail) {
    readPlain();
    if (known.has(id)) { use(known.get(id)); return; }
    if (shards === null || !places.has(id)) { fail("There is no question " + id + "."); return; }
    load(blockOf(id)).then(() => use(known.get(id)), (error) => fail(error.message));
  }

  // All questions that the page itself holds, block by block: [[[id, detail], ...], ...].
  async function* held() {
    readPlain();
    const kept = () => rows.filter((row) => known.has(row.id)).map((row) => [row.id, known.get(row.id)]);
    if (shards === null) { yield kept(); return; }
    if (!whole) return;
    for (const [i, first] of shards.firsts.entries()) {
      await load(i + 1);
      yield rows.slice(first, shards.firsts[i + 1]).map((row) => [row.id, known.get(row.id)]);
    }
  }

  return { get, held, whole };
}
