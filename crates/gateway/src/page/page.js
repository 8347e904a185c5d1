// Keeps the head of the page current; everything else works without this.
"use strict";
const set = (id, text) => { document.getElementById(id).textContent = text; };
const words = document.body.dataset;
function show(s) {
  document.getElementById("receiving").className = s.receiving && !s.failure ? "good" : "bad";
  set("headline", s.headline);
  set("detail", s.detail);
  set("code", s.short_code || "–");
  set("transfer", s.transfer || words.none);
  document.getElementById("read").hidden = !s.notes.some((note) => note.unread);
  const line = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
  document.getElementById("notes").replaceChildren(...s.notes.map((note) => {
    const item = document.createElement("li");
    item.className = note.ours ? "ours" : note.unread ? "theirs unread" : "theirs";
    item.append(line("b", note.head), line("p", note.text), line("small", note.way));
    return item;
  }));
  document.getElementById("seen").replaceChildren(...s.acknowledged.map((text) => line("li", text)));
}
async function poll() {
  try {
    const answer = await fetch("/api/state", { signal: AbortSignal.timeout(3000) });
    if (answer.status === 401) return location.reload();
    if (!answer.ok) throw new Error(answer.statusText);
    show(await answer.json());
  } catch {
    document.getElementById("receiving").className = "lost";
    set("headline", words.lost);
  }
  setTimeout(poll, 1000);
}
poll();
