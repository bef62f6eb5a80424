// Sections are linked in a bar that stays in view and says where the reader is; j and k scroll to the next and the
// previous one, and in an open question from trace to trace.

const bar = document.querySelector(".topbar");
let visited = null; // {node, y}: where j or k went last, and the place of the page then

function barHeight() {
  return bar.offsetHeight + 8;
}

function markSection() {
  const links = [...bar.querySelectorAll("nav a")];
  const line = bar.getBoundingClientRect().bottom + 40;
  const above = links.filter((link) => {
    const part = find(link.hash.slice(1));
    return part && part.getBoundingClientRect().top <= line;
  });
  const atEnd = window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 2;
  const current = atEnd ? links[links.length - 1] : above[above.length - 1];
  if (!current || current.hasAttribute("aria-current")) return;
  for (const link of links) link.removeAttribute("aria-current");
  current.setAttribute("aria-current", "true");
  // On a narrow screen the links are wider than the bar.
  const row = current.parentNode;
  row.scrollLeft = current.offsetLeft - row.offsetLeft - (row.clientWidth - current.offsetWidth) / 2;
}

function scrollByPart(by) {
  const nodes = [...document.querySelectorAll("main > section, #question > header, #question details.trace")];
  const top = (node) => node.getBoundingClientRect().top - barHeight();
  let next;
  // Two traces may stand side by side, and the last sections can't reach the top: place alone would not tell.
  if (visited !== null && visited.node.isConnected && visited.y === window.scrollY) next = nodes[nodes.indexOf(visited.node) + by];
  else if (by > 0) next = nodes.find((node) => top(node) > 8);
  else next = nodes.filter((node) => top(node) < -8).pop();
  if (!next) return;
  next.scrollIntoView({ block: "start" });
  const target = next.tagName === "DETAILS" ? next.firstElementChild : next;
  if (target === next) target.tabIndex = -1;
  target.focus({ preventScroll: true });
  visited = { node: next, y: window.scrollY };
}

function startNavigation() {
  let waiting = false;
  const soon = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; markSection(); });
  };
  window.addEventListener("scroll", soon, { passive: true });
  new ResizeObserver(() => {
    document.documentElement.style.setProperty("--bar", barHeight() + "px");
    soon();
  }).observe(bar);
  markSection();
}

startNavigation();
