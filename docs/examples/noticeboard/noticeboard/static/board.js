// Says how long ago each notice was written; without it the date stays.
const units = [["day", 86400], ["hour", 3600], ["minute", 60]];
const format = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
for (const time of document.querySelectorAll(".meta time")) {
  const seconds = (Date.parse(time.dateTime) - Date.now()) / 1000;
  const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size) ?? units[2];
  time.title = time.textContent;
  time.textContent = format.format(Math.round(seconds / size), unit);
}

// Goes back to a form with what was typed in it; without it the browser's own button does.
for (const button of document.querySelectorAll("[data-back]")) {
  button.hidden = false;
  button.addEventListener("click", () => history.back());
}
