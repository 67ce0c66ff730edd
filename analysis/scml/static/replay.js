"use strict";
(() => {
  const player = document.getElementById("player");
  if (!player) return;
  const slider = document.getElementById("slider");
  const where = document.getElementById("where");
  const frames = [...player.querySelectorAll(".frame")];
  const marked = [...document.querySelectorAll("tr[data-move], .band[data-move]")];

  /* Show one answer: its frame, its row, its place in the plots, and its address. */
  function show(move) {
    const frame = frames[Math.min(Math.max(move, 1), frames.length) - 1];
    frames.forEach((other) => { other.hidden = other !== frame; });
    marked.forEach((element) => element.classList.toggle("current", element.dataset.move === frame.dataset.move));
    slider.value = frame.dataset.move;
    slider.setAttribute("aria-valuetext", frame.dataset.where);
    where.textContent = frame.dataset.where;
    history.replaceState(null, "", `#s${frame.dataset.sequence}`);
  }

  function step(by) {
    show(Number(slider.value) + by);
  }

  function fromAddress() {
    const frame = frames.find((each) => `#s${each.dataset.sequence}` === location.hash);
    show(frame ? Number(frame.dataset.move) : 1);
  }

  document.getElementById("back").addEventListener("click", () => step(-1));
  document.getElementById("forth").addEventListener("click", () => step(1));
  slider.addEventListener("input", () => show(Number(slider.value)));
  marked.forEach((element) => element.addEventListener("click", () => show(Number(element.dataset.move))));
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.target.closest("input, select, textarea, .scroll")) return;
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    step(by);
  });
  window.addEventListener("hashchange", fromAddress);
  player.hidden = false;
  fromAddress();
})();
