// Makes pages live: lists follow what happens and filter as one types, what is to be copied has a button.
// What the server writes is moved in node by node, parsed by the browser as a document of its own, in which nothing runs.
// No string becomes markup here; the pages' policy lets none. Without this file the pages do all the same, one load later.

const LONGEST = 60_000; // milliseconds between two tries at a server that does not answer
const PATIENCE = 30_000;
const TYPING = 250;

let asking = null; // the request under way; one that was begun before it counts for nothing
let known = ""; // the server's mark of what stands here
let failed = 0;
let paused = false;
let over = false;
let timer = 0;
let typing = 0;

const byId = (id) => document.getElementById(id);
const here = () => location.pathname + location.search;

function say(text) {
  if (text) byId("said").textContent = text;
}

function wait() {
  clearTimeout(timer);
  const seconds = Number(byId("following")?.dataset.every ?? 0);
  document.documentElement.dataset.state = over ? "over" : paused ? "paused" : failed ? "waiting" : "on";
  if (seconds && !over && !paused && !document.hidden) {
    timer = setTimeout(ask, Math.min(seconds * 1000 * 2 ** failed, LONGEST));
  }
}

// Ask for the page anew, or for the one that a filter leads to, which becomes this page's address once it is here.
function ask(wanted = "") {
  clearTimeout(timer);
  const request = new XMLHttpRequest();
  const before = asking;
  asking = request; // first, for one that is given up ends at once
  before?.abort();
  request.open("GET", wanted || here());
  request.responseType = "document";
  request.overrideMimeType("text/html"); // an answer without a body would be read as broken XML, and told so with a style of its own
  request.timeout = PATIENCE;
  request.setRequestHeader("Egret-Live", "1");
  if (known && !wanted) request.setRequestHeader("If-None-Match", known);
  request.onloadend = () => {
    if (asking !== request) return;
    asking = null;
    answered(request, wanted);
    wait();
  };
  request.send();
}

function answered(request, wanted) {
  const { status, response: page } = request;
  if (status === 200 && page?.getElementById("said")) {
    failed = 0;
    known = request.getResponseHeader("ETag") ?? "";
    if (wanted) history.replaceState(null, "", wanted);
    byId("refused").replaceChildren();
    show(page, wanted !== "");
  } else if (status === 304) {
    failed = 0;
  } else if (status === 422 && page && wanted) {
    byId("refused").replaceChildren(...page.querySelectorAll(".fault"));
  } else if (status >= 400 && status < 500 && status !== 429) {
    over = true; // logged out, taken away, or no longer allowed: asked again, it would be refused again, and logged each time
    if (page) byId("refused").replaceChildren(...page.querySelectorAll(".fault, .fault + p"));
  } else if (wanted) {
    location.assign(wanted);
  } else {
    failed += 1;
  }
}

// Put what a page has into this one, region by region.
function show(page, filtered) {
  let fresh = 0;
  let said = "";
  for (const was of document.querySelectorAll("[data-live]")) {
    const now = page.getElementById(was.id);
    if (!now) continue;
    if (!filtered && now.dataset.news) {
      const rows = [...now.querySelectorAll("[id^=row-]")].filter((row) => !byId(row.id));
      for (const row of rows) row.classList.add("fresh");
      if (rows.length) said = `${rows.length} ${now.dataset.news}`;
      fresh += rows.length;
    }
    if (now.dataset.said && (filtered || (!fresh && now.dataset.said !== was.dataset.said))) said = now.dataset.said;
    merge(was, now);
  }
  document.title = page.title;
  say(said);
}

// Make an element what it is now, and leave what is the same where it is: with its focus, its selection, and opened or not.
function merge(was, now) {
  if (was.isEqualNode(now)) return;
  if (was.nodeType !== Node.ELEMENT_NODE || was.nodeName !== now.nodeName || was.id !== now.id) {
    was.replaceWith(now);
    return;
  }
  for (const { name } of [...was.attributes]) {
    if (name !== "open" && !now.hasAttribute(name)) was.removeAttribute(name);
  }
  for (const { name, value } of [...now.attributes]) {
    if (name !== "open" && was.getAttribute(name) !== value) was.setAttribute(name, value);
  }
  mergeChildren(was, [...now.childNodes]);
}

// Elements with an id are known by it, all others by their place.
function mergeChildren(was, children) {
  const stay = new Set(children.map((each) => each.id).filter(Boolean));
  for (const each of [...was.children]) if (each.id && !stay.has(each.id)) each.remove();
  const named = new Map([...was.children].filter((each) => each.id).map((each) => [each.id, each]));
  let at = was.firstChild;
  const drop = () => {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  };
  for (const child of children) {
    const same = child.id ? named.get(child.id) : at && !at.id ? at : undefined;
    while (child.id && same && at && at !== same && !at.id) drop();
    if (same && same === at) at = at.nextSibling;
    else was.insertBefore(same ?? child, at);
    if (same) merge(same, child);
  }
  while (at) drop();
}

function follow() {
  document.addEventListener("click", (event) => {
    if (!event.target.closest("#pause, #resume")) return;
    paused = !paused;
    if (!paused) ask();
    wait();
    byId(paused ? "resume" : "pause").focus();
  });
  document.addEventListener("visibilitychange", () => {
    const waits = byId("following")?.dataset.every && !paused && !over;
    if (document.hidden || !waits) clearTimeout(timer);
    else if (!asking) ask();
  });
  wait();
}

function filter(form) {
  const go = () => {
    clearTimeout(typing);
    const given = [...new FormData(form)].filter(([, text]) => text !== "");
    // Not `form.action`: that is the field of this name, where there is one.
    const path = form.getAttribute("action") ?? location.pathname;
    ask(given.length ? `${path}?${new URLSearchParams(given)}` : path);
  };
  form.addEventListener("change", go);
  form.addEventListener("input", (event) => {
    clearTimeout(typing);
    if (event.target.type === "search") typing = setTimeout(go, TYPING);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go();
  });
}

function copy(button) {
  const text = byId(button.dataset.copies);
  button.hidden = false;
  button.addEventListener("click", () => {
    navigator.clipboard.writeText(text.textContent).then(
      () => say(button.dataset.done),
      () => getSelection().selectAllChildren(text),
    );
  });
}

follow();
for (const each of document.querySelectorAll("form.find")) filter(each);
// Of pages over plain HTTP from another machine browsers let nothing be copied: one click selects it there.
if (navigator.clipboard) for (const each of document.querySelectorAll("button[data-copies]")) copy(each);
