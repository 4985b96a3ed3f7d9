// Chromium keeps the page that was open at a sign-out in memory for the back button.
addEventListener("pageshow", (event) => event.persisted && location.reload());
