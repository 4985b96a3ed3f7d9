// Makes forms nicer; they work without. No dependencies, no inline code.
"use strict";
(() => {
  const header = "Form-Validate-Only";

  const post = (form, extra, headers) => {
    const body = new FormData(form);
    for (const [name, value] of extra) body.append(name, value);
    const url = form.getAttribute("action") || location.href;
    return fetch(url, { method: "POST", body, headers, credentials: "same-origin" });
  };

  // A row that comes or goes: only its list is replaced, so that files stay chosen.
  const change = async (form, button) => {
    const list = button.closest("fieldset[id$='--group']");
    const outer = button.value.startsWith("remove:")
      ? list.parentElement.closest("fieldset[id$='--group']") || list
      : list;
    const target = outer.id && form.contains(outer) ? outer : form;
    const answer = await post(form, [[button.name, button.value]], { Accept: "text/html" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById(target.id);
    if (!answer.ok || !fresh) {
      form.requestSubmit(button);
      return;
    }
    target.replaceWith(fresh);
    prepare(fresh);
    // The server knows what to write next, or which button is left.
    (fresh.querySelector("[autofocus]") || fresh).focus();
  };

  // The models of a union that are not chosen: out of sight and not sent.
  const choose = (root) => {
    for (const fields of root.querySelectorAll(".form-case-fields")) {
      const radio = fields.parentElement.querySelector("input[type=radio]");
      fields.hidden = !radio.checked;
      for (const control of fields.querySelectorAll("input, select, textarea, button")) {
        // A control that the page itself disables stays so.
        if (!radio.checked && !control.disabled) {
          control.disabled = true;
          control.dataset.off = "";
        } else if (radio.checked && "off" in control.dataset) {
          control.disabled = false;
          delete control.dataset.off;
        }
      }
    }
  };

  const tell = (control, message) => {
    const id = `${control.id}--error`;
    const old = document.getElementById(id);
    const described = (control.getAttribute("aria-describedby") || "")
      .split(" ")
      .filter((part) => part && part !== id);
    if (message) {
      const place = old || document.createElement("p");
      place.id = id;
      place.className = old ? old.className : "form-error invalid-feedback d-block";
      place.textContent = message;
      if (!old) control.insertAdjacentElement("afterend", place);
      control.setAttribute("aria-invalid", "true");
      described.push(id);
    } else {
      if (old) old.remove();
      control.removeAttribute("aria-invalid");
    }
    control.classList.toggle("is-invalid", Boolean(message) && control.matches(".form-control, .form-select"));
    if (described.length) control.setAttribute("aria-describedby", described.join(" "));
    else control.removeAttribute("aria-describedby");
  };

  const ask = async (form, control) => {
    const answer = await post(form, [], { [header]: control.name, Accept: "application/problem+json" });
    if (answer.status === 204) tell(control, "");
    else if (answer.status === 422) {
      const errors = (await answer.json()).errors;
      tell(control, errors.map((error) => error.detail).join(" "));
    }
  };

  const prepare = (root) => choose(root);

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button[name='_row']");
    if (!button || (window.htmx && button.form?.hasAttribute("hx-post"))) return;
    event.preventDefault();
    change(button.form, button);
  });
  document.addEventListener("change", (event) => {
    const control = event.target;
    const form = control.form;
    if (!form?.classList.contains("form")) return;
    if (control.type === "radio") choose(form);
    if (form.hasAttribute("data-live") && !window.htmx && control.name &&
        !["password", "file", "radio", "checkbox"].includes(control.type))
      ask(form, control);
  });
  document.addEventListener("htmx:load", (event) => prepare(event.target));
  if (document.readyState === "loading")
    document.addEventListener("DOMContentLoaded", () => prepare(document));
  else prepare(document);
})();
