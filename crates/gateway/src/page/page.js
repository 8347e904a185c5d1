// Keeps the head of the page current; everything else works without this.
"use strict";
const set = (id, text) => { document.getElementById(id).textContent = text; };
function headline(s) {
  if (s.failure) return "NOT RECORDING, NOT SENDING: the disk of this box failed";
  if (s.full) return "The hospital has no room for another transfer; everything stays on board";
  if (s.receiving) return "The hospital is receiving";
  if (s.ended) return "Transfer ended · nothing is recorded";
  if (s.connected) return "Connected, the hospital does not confirm";
  return "NO CONNECTION · recording on board";
}
function show(s) {
  const mb = (bytes) => Math.floor(bytes / 1e6);
  document.getElementById("receiving").className = s.receiving && !s.failure ? "good" : "bad";
  set("headline", headline(s));
  set("detail", (s.receiving_since ? `since ${s.receiving_since} · ` : "")
    + `${s.unconfirmed_frames} frames wait on board (${mb(s.spool_bytes)} of ${mb(s.spool_bytes_max)} MB)`
    + (s.level ? " · thin link: waveforms reach the hospital later" : "")
    + (s.shed_frames ? ` · ${s.shed_frames} given up: the disk was full` : "")
    + (s.damaged_frames ? ` · ${s.damaged_frames} lost: the disk is damaged` : "")
    + (s.lost ? ` · ${s.lost} not recorded: the disk failed` : "")
    + (s.failure ? ` · ${s.failure}` : ""));
  set("code", s.short_code || "–");
  set("transfer", s.transfer || "none");
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
    set("headline", "This page has lost the box on board");
  }
  setTimeout(poll, 1000);
}
poll();
