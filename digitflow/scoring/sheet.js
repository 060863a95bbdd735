
"use strict";
// Every value on the page is ready to be a cell of the CSV: here they are only put together.

const fields = [...document.querySelectorAll("select")];
const save = document.getElementById("save");
const progress = document.getElementById("progress");
const place = `digitflow-review-${document.body.dataset.sheet}`;
let unsaved = false;

const cardOf = (field) => field.closest(".card");
const answered = () => fields.filter((field) => field.value !== "");

function show() {
  const count = answered().length;
  progress.textContent = `${count} of ${fields.length} answered`;
  save.disabled = count === 0;
  for (const field of fields) cardOf(field).classList.toggle("answered", field.value !== "");
}

// The answers outlive a closed page where the browser allows it.
function keep() {
  const answers = Object.fromEntries(answered().map((field) => [field.id, field.value]));
  try {
    localStorage.setItem(place, JSON.stringify(answers));
  } catch {
    // Then the warning on leaving has to do.
  }
}

function restore() {
  try {
    const answers = JSON.parse(localStorage.getItem(place)) ?? {};
    for (const field of fields) {
      if ([...field.options].some((option) => option.value === answers[field.id])) {
        field.value = answers[field.id];
      }
    }
  } catch {
    // Nothing was kept, or nothing that can be used.
  }
}

function changed() {
  unsaved = true;
  keep();
  show();
}

function answer(field, value) {
  field.value = value;
  changed();
  const next = fields[fields.indexOf(field) + 1] ?? save;
  next.focus();
  next.closest(".card")?.scrollIntoView({ block: "nearest" });
}

function typed(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target === save) return;
  const field = fields.includes(event.target) ? event.target : undefined;
  const key = event.key;
  const values = [...(field ?? fields[0])?.options ?? []].map((option) => option.value);
  if (key === "Backspace" && field) {
    field.value = "";
    changed();
  } else if (key === "Enter" && field) {
    if (field.dataset.read === undefined) return;
    answer(field, field.dataset.read);
  } else if (key.length === 1 && key !== " " && values.includes(key)) {
    // Typed before any picture is chosen, it is for the first without an answer.
    const chosen = field ?? fields.find((each) => each.value === "");
    if (chosen) answer(chosen, key);
  } else {
    return;
  }
  event.preventDefault();
}

function csv() {
  const lines = answered().map((field) => {
    const { cell } = field.selectedOptions[0].dataset;
    return `${cell},${cardOf(field).dataset.row}`;
  });
  // The mark at the beginning tells spreadsheets that it is UTF-8.
  return `\ufeff${[document.body.dataset.header, ...lines].join("\r\n")}\r\n`;
}

function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = document.body.dataset.file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  unsaved = false;
}

restore();
show();
document.addEventListener("keydown", typed);
document.addEventListener("change", changed);
save.addEventListener("click", download);
addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault();
});
