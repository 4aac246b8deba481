// Tells the program that the page is open, and the wearer how far a task is. Without it the page works by reloading.
"use strict";

const shown = document.querySelector("[data-task]");
const gone = document.querySelector("[data-gone]");
const events = new EventSource("/events");

events.addEventListener("task", (event) => {
  const task = JSON.parse(event.data);
  if (!shown || shown.dataset.ended === "true") return;
  if (task.ended || String(task.number) !== shown.dataset.task) {
    location.reload();
    return;
  }
  const doing = shown.querySelector("[data-doing]");
  if (task.doing && doing.textContent !== task.doing) doing.textContent = task.doing;
  const bar = shown.querySelector("progress");
  if (task.total) {
    bar.max = task.total;
    bar.value = task.done;
  } else {
    bar.removeAttribute("value");
  }
});
events.addEventListener("error", () => {
  gone.hidden = false;
});
events.addEventListener("open", () => {
  gone.hidden = true;
});
