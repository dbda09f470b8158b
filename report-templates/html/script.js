"use strict";
// Everything can be read without this script: it only hides what was not asked for.
const of = (selector, root) => Array.from((root || document).querySelectorAll(selector));
const number = n => String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
const filters = of("form[data-of]").map(form => {
  const list = document.getElementById(form.dataset.of);
  const entries = of("[data-text]", list).map(element => ({ element, text: element.textContent.toLowerCase() }));
  const said = form.querySelector("output");
  const search = form.querySelector("input[type=search]");
  const apply = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = of("select", form).filter(s => s.value !== "").map(s => [s.name, s.value]);
    let shown = 0;
    for (const { element, text } of entries) {
      const fits = words.every(w => text.includes(w)) && chosen.every(([name, value]) => element.dataset[name] === value);
      element.hidden = !fits;
      if (fits) shown += 1;
    }
    for (const group of of("[data-group]", list)) group.hidden = !group.querySelector("[data-text]:not([hidden])");
    said.textContent = number(shown) + " of " + number(entries.length) + " shown";
  };
  let waiting;
  form.hidden = false;
  form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(apply, 80); });
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  apply();
  return { form, search, apply };
});
// A link to a control opens it, and clears a filter that hides it.
const follow = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  const filter = filters.find(f => target.hidden && document.getElementById(f.form.dataset.of).contains(target));
  if (filter) { filter.form.reset(); filter.apply(); }
  if (target.tagName === "DETAILS") target.open = true;
  target.scrollIntoView();
};
addEventListener("hashchange", follow);
follow();
document.addEventListener("click", event => {
  const check = event.target.closest && event.target.closest("a[data-check]");
  if (!check) return;
  const filter = filters.find(f => f.form.dataset.of === "finding-list");
  if (!filter) return;
  filter.form.reset();
  filter.search.value = check.dataset.check;
  setTimeout(filter.apply);
});
const near = () => filters.find(f => f.form.getBoundingClientRect().bottom > 0) || filters[filters.length - 1];
document.addEventListener("keydown", event => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.key === "/" && !typing && filters.length > 0) { event.preventDefault(); near().search.focus(); }
  if (event.key === "Escape" && typing) { const filter = filters.find(f => f.form.contains(event.target)); if (filter) { filter.form.reset(); event.target.blur(); } }
});
// On paper nothing is closed.
let opened = [];
addEventListener("beforeprint", () => { opened = of("details:not([open])"); for (const d of opened) d.open = true; });
addEventListener("afterprint", () => { for (const d of opened) d.open = false; });
