// Light, dark, or as the system says. The choice is kept where the browser allows it.

import { fill, h } from "./dom.js";

const KEY = "frond-theme";
const NEXT = { auto: "light", light: "dark", dark: "auto" };

function chosen() {
  try {
    return NEXT[localStorage.getItem(KEY)] ? localStorage.getItem(KEY) : "auto";
  } catch {
    return "auto";
  }
}

function apply(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

// A button that turns to the next theme.
export function themeButton() {
  let theme = chosen();
  const button = h("button", { type: "button", class: "quiet theme" });
  const show = () => {
    apply(theme);
    fill(button, h("span", { class: "wide-only" }, "theme: "), theme);
    button.setAttribute("aria-label", `theme: ${theme}; change to ${NEXT[theme]}`);
  };
  button.addEventListener("click", () => {
    theme = NEXT[theme];
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // A page from a file, or one without storage, forgets.
    }
    show();
  });
  show();
  return button;
}
