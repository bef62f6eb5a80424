// The page's colours: the system's, or light or dark by choice. A choice is kept where the browser lets a page keep one.

const THEME = "consilience-theme";
const recolourings = []; // called when the colours have changed

function keptTheme() {
  try { return localStorage.getItem(THEME); } catch (error) { return null; }
}

function keepTheme(choice) {
  try {
    if (choice) localStorage.setItem(THEME, choice);
    else localStorage.removeItem(THEME);
  } catch (error) { /* it holds until the page is closed */ }
}

function applyTheme(choice) {
  const root = document.documentElement;
  if (choice) root.dataset.theme = choice;
  else delete root.dataset.theme;
}

function startTheme() {
  const select = find("theme");
  const kept = keptTheme();
  select.value = kept === "light" || kept === "dark" ? kept : "";
  applyTheme(select.value);
  const recolour = () => recolourings.forEach((each) => each());
  select.addEventListener("change", () => {
    applyTheme(select.value);
    keepTheme(select.value);
    recolour();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
}

startTheme();
