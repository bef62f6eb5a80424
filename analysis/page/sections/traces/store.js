// What is shown of each question: in the page, or in script files beside it that are loaded when a
// question of theirs is opened. Such a file calls consilience(stamp, number, [[id, detail], ...]).

function QuestionStore(rows, shards) {
  const known = new Map();
  const asked = new Map(); // file number to its script's promise
  const places = new Map(rows.map((row, place) => [row.id, place]));
  let inPage = shards === null;

  function fileOf(id) {
    const place = places.get(id);
    return shards.firsts.filter((first) => first <= place).length;
  }

  function load(number) {
    if (!asked.has(number)) asked.set(number, new Promise((resolve, reject) => {
      const script = document.createElement("script");
      const name = shards.folder + "/" + String(number).padStart(4, "0") + ".js";
      script.onload = resolve;
      script.onerror = () => { asked.delete(number); reject(new Error(name + " could not be loaded: it belongs beside this page.")); };
      script.src = name;
      document.head.append(script);
    }));
    return asked.get(number);
  }

  if (shards !== null) {
    window.consilience = (stamp, number, pairs) => {
      if (stamp === shards.stamp) for (const [id, detail] of pairs) known.set(id, detail);
    };
  }

  // What the page itself holds, without any file beside it: [[id, detail], ...].
  function held() {
    open();
    return shards === null ? [...known] : [];
  }

  function open() {
    if (!inPage) return;
    for (const [name, detail] of Object.entries(read("detail-data"))) known.set(name, detail);
    inPage = false;
  }

  // Calls `use` with what is shown of the question, at once where it is here; else `fail` says why.
  function get(id, use, fail) {
    open();
    if (known.has(id)) { use(known.get(id)); return; }
    if (shards === null || !places.has(id)) { fail("There is no question " + id + "."); return; }
    load(fileOf(id)).then(() => {
      if (known.has(id)) use(known.get(id));
      else fail("The files beside this page are of another writing of it: open it again, or write it again with cot report.");
    }, (error) => fail(error.message));
  }

  return { get, held, whole: shards === null };
}
