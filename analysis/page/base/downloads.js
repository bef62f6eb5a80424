// Tables as files: CSV, gzipped and in base64 in the page, which may fetch nothing.

let packed = null; // read at the first download

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).blob();
}

async function download(name) {
  packed = packed || read("downloads-data");
  const blob = new Blob([await unpack(packed[name])], { type: "text/csv;charset=utf-8" });
  const link = element("a", { href: URL.createObjectURL(blob), download: name + ".csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

for (const button of document.querySelectorAll("[data-download]")) {
  button.addEventListener("click", () => {
    download(button.dataset.download).catch((error) => {
      button.after(element("span", { class: "note", role: "alert" }, " This browser can't unpack it: " + error.message));
    });
  });
}
