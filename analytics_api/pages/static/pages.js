/* Pages refresh by themselves, charts can be read off with pointer and keys, and the server learns the time zone.
   Everything works without this file too: then by reloading. */
import { startRefreshing } from "./refresh.js";
import { readable } from "./charts.js";

function tellZone() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!zone || document.cookie.split("; ").includes(`zone=${zone}`)) return;
  document.cookie = `zone=${zone}; path=/; max-age=31536000; samesite=lax`;
  const chosen = new URLSearchParams(location.search).has("zone");
  const shows = document.documentElement.dataset.zone;
  // Only once: without cookies the page would reload for ever.
  if (!chosen && shows !== zone && document.cookie.includes(`zone=${zone}`) && !document.querySelector("form[method=post] :focus")) {
    location.reload();
  }
}

for (const form of document.querySelectorAll("form[data-auto]")) {
  form.addEventListener("change", (event) => {
    if (event.target.matches("select")) form.requestSubmit();
  });
}
for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => {
    if (!confirm(form.dataset.confirm)) event.preventDefault();
  });
}
tellZone();
readable(document);
startRefreshing(() => readable(document));
