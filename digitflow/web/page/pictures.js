// Several pictures at once: a row of them, each with what was read.

import { predictBatch } from "./api.js";

// What is sent in one request: within what servers take, unless they were told to take less.
const MOST_FILES = 16;
const MOST_BYTES = 12 * 2 ** 20;

/** Show pictures, { name, blob, url }, in a list and have them read; `show` is given one that is clicked. */
export async function listPictures(list, pictures, options, show) {
  const entries = pictures.map((picture) => newEntry(picture, show));
  list.replaceChildren(...entries.map(({ item }) => item));
  try {
    for (const group of groupsOf(entries)) {
      const { results } = await predictBatch(group.map(({ picture }) => picture.blob), options);
      results.forEach((result, i) => { group[i].words.textContent = inShort(result); });
    }
  } catch (problem) {
    for (const { words } of entries) if (words.textContent === "…") words.textContent = "click to read";
    throw problem;
  }
}

function newEntry(picture, show) {
  const item = document.createElement("li");
  const button = Object.assign(document.createElement("button"), { type: "button" });
  const image = Object.assign(new Image(), { src: picture.url, alt: "", width: 96, height: 96 });
  const words = Object.assign(document.createElement("span"), { textContent: "…" });
  const name = Object.assign(document.createElement("small"), { textContent: picture.name });
  button.append(image, words, name);
  button.addEventListener("click", () => show(picture));
  item.append(button);
  return { picture, item, words };
}

function* groupsOf(entries) {
  let group = [];
  let size = 0;
  for (const entry of entries) {
    size += entry.picture.blob.size;
    if (group.length === MOST_FILES || (group.length > 0 && size > MOST_BYTES)) {
      yield group;
      group = [];
      size = entry.picture.blob.size;
    }
    group.push(entry);
  }
  yield group;
}

function inShort({ error, digits, text }) {
  if (error) return "cannot be read";
  if (digits.length > 1) return text;
  return { ok: text, uncertain: `${text}, unsure`, rejected: "not a digit", blank: "blank" }[digits[0].status];
}
