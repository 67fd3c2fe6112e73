// The token: asked for when the server wants one, kept for this tab only.

import { fill, h } from "./dom.js";

let asking = null;

// Asks for a token; several requests that need one share the question.
export function askToken(wasWrong) {
  asking ??= ask(wasWrong).finally(() => (asking = null));
  return asking;
}

function ask(wasWrong) {
  return new Promise((resolve) => {
    const input = h("input", { type: "password", id: "token", name: "token", autocomplete: "off", required: true, spellcheck: "false" });
    const words = h("p", { class: "field-error", role: "alert" });
    fill(words, wasWrong ? "The server does not know this token." : "");
    const form = h("form", { method: "dialog", class: "login" }, [
      h("h2", { id: "login-title" }, "This server needs a token"),
      h("p", { class: "muted" }, "Give one of the tokens in the server's settings. This tab keeps the token until the tab is closed."),
      h("label", { for: "token" }, "Token"),
      input,
      words,
      h("div", { class: "actions" }, h("button", { class: "primary" }, "Continue")),
    ]);
    const dialog = h("dialog", { "aria-labelledby": "login-title" }, form);
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      // A header can only carry printable ASCII.
      if (!/^[\x21-\x7e]+$/.test(input.value.trim())) {
        fill(words, "A token has only printable ASCII characters, and no spaces.");
        return;
      }
      dialog.remove();
      resolve(input.value.trim());
    });
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}
