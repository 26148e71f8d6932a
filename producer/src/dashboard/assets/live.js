// What the pages do by themselves: keys, and what the stream of events brings. Without it every page works all the same.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const isTyping = (element) => /^(INPUT|TEXTAREA|SELECT)$/.test(element.tagName);

  document.addEventListener("keydown", (event) => {
    const search = byId("q");
    if (event.key === "/" && search && !event.ctrlKey && !event.metaKey && !event.altKey && !isTyping(event.target)) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  });

  const address = document.body.dataset.events;
  if (!address) return;
  let waiting = null;

  // A part in which somebody moves by keyboard stays as it is until they have left it.
  const show = (markup) => {
    const part = byId("part");
    if (!part) return;
    if (part.contains(document.activeElement)) {
      waiting = markup;
      return;
    }
    waiting = null;
    window.htmx.swap(part, markup, { swapStyle: "innerHTML" });
  };
  document.addEventListener("focusout", () => setTimeout(() => { if (waiting !== null) show(waiting); }));

  const say = (word) => { const sign = byId("live"); if (sign) { sign.textContent = word; sign.dataset.state = word; } };
  const source = new EventSource(address);
  source.addEventListener("open", () => say("live"));
  source.addEventListener("error", () => say("not live"));
  source.addEventListener("numbers", (event) => {
    for (const [name, text] of Object.entries(JSON.parse(event.data))) {
      for (const place of document.querySelectorAll(`[data-number="${CSS.escape(name)}"]`)) place.textContent = text === "0" ? "" : text;
    }
  });
  source.addEventListener("part", (event) => show(event.data));
  source.addEventListener("changed", () => { const news = byId("news"); if (news) news.hidden = false; });
  source.addEventListener("again", () => {
    window.htmx.ajax("GET", window.location.href, { target: "#part", select: "#part", swap: "outerHTML" });
  });
  window.addEventListener("pagehide", () => source.close());
})();
