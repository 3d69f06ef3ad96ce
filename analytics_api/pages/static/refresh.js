/* Asks for the page again, every data-live milliseconds, and puts what changed in the place of what was. */

const HIDDEN_MS = 60000;
const SLOWEST_MS = 30000;

function age(seconds, units) {
  const steps = [[86400, 3], [3600, 2], [60, 1], [1, 0]];
  const [size, unit] = steps.find(([length]) => seconds >= length) ?? [1, 0];
  return `${Math.floor(seconds / size)}\u00a0${units[unit]}`;
}

function tell(isDown, seenAt) {
  const notice = document.getElementById("lost");
  const zone = document.documentElement.dataset.zone;
  const at = seenAt.toLocaleTimeString(document.documentElement.lang, { timeZone: zone });
  const ago = age((Date.now() - seenAt) / 1000, notice.dataset.units.split(","));
  const text = (isDown ? notice.dataset.down : notice.dataset.lost).replace("{}", at).replace("{}", ago);
  if (notice.textContent !== text) notice.textContent = text;
  notice.hidden = false;
}

/** The element's place in the page that came, or null when a reader works in it just now. */
function replace(old, fresh) {
  const active = document.activeElement;
  const isBusy = old.contains(active) && active.matches("input:not([type=checkbox]), textarea, select");
  if (isBusy || old.isEqualNode(fresh)) return false;
  const known = new Set([...old.querySelectorAll("tr[data-key]")].map((row) => row.dataset.key));
  for (const row of fresh.querySelectorAll("tr[data-key]")) {
    if (known.size && !known.has(row.dataset.key)) row.classList.add("new");
  }
  const ticked = [...old.querySelectorAll("input[type=checkbox]:checked")].map((box) => box.value);
  for (const box of fresh.querySelectorAll("input[type=checkbox]")) {
    if (ticked.includes(box.value)) box.checked = true;
  }
  const places = [...old.querySelectorAll("[id]")].map((part) => [part.id, part.scrollTop, part.scrollLeft]);
  const open = [...old.querySelectorAll("details[open][id]")].map((part) => part.id);
  const focused = old.contains(active) ? [...old.querySelectorAll("a, button, input, [tabindex]")].indexOf(active) : -1;
  old.replaceWith(fresh);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  for (const [id, top, left] of places) document.getElementById(id)?.scrollTo(left, top);
  if (focused >= 0) fresh.querySelectorAll("a, button, input, [tabindex]")[focused]?.focus({ preventScroll: true });
  return true;
}

export function startRefreshing(changed) {
  const first = document.querySelector("[data-live]");
  if (!first) return;
  const every = Number(first.dataset.live);
  let wait = every;
  let tag = null;
  let seenAt = new Date();
  let timer = 0;

  async function look() {
    try {
      const answer = await fetch(location.href, {
        cache: "no-store",
        headers: tag ? { "If-None-Match": tag } : {},
        signal: AbortSignal.timeout(20000),
      });
      if (answer.status === 200) {
        if (answer.redirected) {
          location.assign(answer.url);
          return;
        }
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        let isAll = true;
        let isAny = false;
        for (const old of document.querySelectorAll("[data-live]")) {
          const fresh = page.getElementById(old.id);
          if (!fresh) {
            // Another page stands here now: an error that is over, or a form to sign in.
            location.reload();
            return;
          }
          const isNew = replace(old, document.adoptNode(fresh));
          isAny ||= isNew;
          isAll &&= isNew || !old.contains(document.activeElement);
        }
        tag = isAll ? answer.headers.get("ETag") : null;
        if (isAny) changed();
      } else if (answer.status !== 304) {
        if (answer.status === 403 || answer.status === 404) {
          location.reload();
          return;
        }
        throw Object.assign(new Error(`status ${answer.status}`), { isDown: answer.status === 503 });
      }
      seenAt = new Date();
      document.getElementById("lost").hidden = true;
      for (const clock of document.querySelectorAll("[data-clock]")) {
        clock.textContent = seenAt.toLocaleTimeString(document.documentElement.lang, { timeZone: document.documentElement.dataset.zone, hour12: false });
      }
      wait = every;
    } catch (error) {
      tell(error.isDown === true, seenAt);
      wait = Math.min(wait * 1.5, SLOWEST_MS);
    }
    timer = setTimeout(look, document.hidden ? Math.max(wait, HIDDEN_MS) : wait);
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    clearTimeout(timer);
    timer = setTimeout(look, 0);
  });
  timer = setTimeout(look, wait);
}
