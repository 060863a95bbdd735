// The page: what is on the paper is read, and the answer shown, after every change.

import { dataUrl, drawBoxes, inWords, showAnswer, showEmptyBars, showNothing } from "./answer.js";
import { Problem, getModels, hasToken, predict, sendCorrection, untilAlive, useToken } from "./api.js";
import { openCamera } from "./camera.js";
import { Paper } from "./pad.js";
import { listPictures } from "./pictures.js";

const REST = 120; // ms without a new stroke, after which the answer is asked for with its reasons
const GLIMPSE = 200; // ms between two questions while a stroke is being drawn
const HEARD = 700; // ms that an answer must stand until it is read out
const LABELS = [..."0123456789"];
const IS_MAC = navigator.platform.startsWith("Mac");

const part = (id) => document.getElementById(id);

const paper = new Paper(part("drawing"), { drawing: glimpse, changed });
let asking = null; // the AbortController of the question on its way
let later = 0; // the timer of the next question
let glimpsing = 0; // the timer of the next question within a stroke
let answer = null; // what is shown
let chosen = 0; // which of its digits
const classesOf = new Map(); // of each model, by its name and version
let labels = LABELS; // of the model that is asked
let gone = false; // whether the server is known not to answer
let mayCorrect = false; // whether the server takes corrections

/* ---- asking ---- */

/** Ask while a stroke is drawn: seldom, and never before the last answer has come. */
function glimpse() {
  clearTimeout(later);
  showControls();
  glimpsing ||= setTimeout(() => {
    glimpsing = 0;
    if (asking) glimpse();
    else read({ explain: false });
  }, GLIMPSE);
}

/** Ask after the paper has changed for good. */
function changed() {
  showControls();
  showPicture();
  forgetCorrection();
  askSoon(paper.picture ? 0 : REST);
}

function askSoon(wait) {
  asking?.abort(); // its answer would be out of date
  asking = null;
  clearTimeout(glimpsing);
  clearTimeout(later);
  glimpsing = 0;
  part("answer").ariaBusy = true;
  later = setTimeout(() => read({ explain: true }), wait);
}

async function read({ explain }) {
  if (paper.isEmpty) {
    answer = null;
    announce("");
    part("answer").ariaBusy = false;
    showNothing("Nothing yet", "Draw, or click one of the examples, and the answer appears here.");
    return;
  }
  const mine = (asking = new AbortController());
  try {
    const blob = await paper.asFile();
    const found = await predict(blob, { several: part("several").checked, explain, model: model(), signal: mine.signal });
    if (mine !== asking) return;
    answer = found;
    chosen = Math.min(chosen, answer.digits.length - 1);
    say("");
    show();
    if (explain) announce(inWords(answer));
  } catch (problem) {
    if (mine === asking) failed(problem, explain);
  } finally {
    if (mine === asking) {
      asking = null;
      if (explain) part("answer").ariaBusy = false;
    }
  }
}

function failed(problem, resting) {
  if (problem.name === "AbortError") return;
  if (!(problem instanceof Problem)) throw problem;
  if (!resting && problem.status) return; // the question after the stroke tells
  answer = null;
  if ([413, 422].includes(problem.status)) {
    say("");
    showNothing("Cannot be read", problem.message);
    announce(`Cannot be read. ${problem.message}`);
    return;
  }
  showNothing("No answer", "What is wrong is said at the top of the page.");
  tell(problem);
  if (problem.retryAfter) askSoon(1000 * problem.retryAfter);
}

/** Say what went wrong, and do about it what the page can. */
async function tell(problem) {
  if (!(problem instanceof Problem)) throw problem;
  say(problem.status === 401 ? "" : problem.message);
  if (problem.status === 401) return askForToken();
  if (problem.status === 0 && !gone) {
    gone = true;
    await untilAlive();
    gone = false;
    say("");
    start();
  }
}

function model() {
  return part("model-choice").hidden ? null : part("model").value;
}

/* ---- showing ---- */

function show() {
  showAnswer(answer, chosen, (i) => {
    chosen = i;
    forgetCorrection();
    show();
  });
  // Around what is drawn alone, a box would only flicker.
  drawBoxes(paper.picture || answer.digits.length > 1 ? answer : null, chosen);
  part("feedback").hidden = !mayCorrect || answer.digits[chosen].status === "blank";
  showUnviewable();
}

function showControls() {
  part("undo").disabled = !paper.canUndo;
  part("redo").disabled = !paper.canRedo;
  part("clear").disabled = paper.isEmpty;
  part("invitation").hidden = !paper.isEmpty;
  if (paper.isEmpty) part("feedback").hidden = true;
  const count = paper.strokes.length;
  const what = count === 0 ? "it is empty" : count === 1 ? "one stroke" : `${count} strokes`;
  part("drawing").setAttribute("aria-label", `Paper to draw on; ${what}`);
}

function showPicture() {
  const { picture } = paper;
  const image = part("picture");
  drawBoxes(null);
  part("unviewable").hidden = true;
  image.hidden = !picture;
  part("drawing").hidden = Boolean(picture);
  if (!picture) return image.removeAttribute("src");
  image.alt = `The picture ${picture.name}`;
  image.onerror = () => {
    picture.unviewable = true;
    showUnviewable();
  };
  image.src = picture.url;
}

/** Show a picture that the browser does not know, such as a TIFF, as the server has read it. */
function showUnviewable() {
  if (!paper.picture?.unviewable) return;
  const stage = answer?.digits[0].explanation?.stages[0];
  part("unviewable").hidden = Boolean(stage);
  part("picture").hidden = !stage;
  if (stage) part("picture").src = dataUrl(stage.png);
}

function say(message) {
  part("notice").hidden = !message;
  if (part("notice").textContent !== message) part("notice").textContent = message;
}

let heard = 0;
function announce(words) {
  clearTimeout(heard);
  heard = setTimeout(() => { part("announcement").textContent = words; }, HEARD);
}

/* ---- pictures ---- */

const newPicture = (blob, name) => ({ blob, name, url: URL.createObjectURL(blob) });

async function take(files) {
  const pictures = [...files].map((file) => newPicture(file, file.name || "from the clipboard"));
  if (pictures.length === 0) return say("That held no picture. Give it as a file, or copy the picture itself.");
  say("");
  part("pictures").hidden = pictures.length === 1;
  paper.show(pictures[0]);
  if (pictures.length < 2) return;
  try {
    const options = { several: part("several").checked, model: model() };
    await listPictures(part("picture-list"), pictures, options, (picture) => paper.show(picture));
  } catch (problem) {
    tell(problem);
  }
}

async function openExample(button) {
  const name = button.dataset.example;
  try {
    const answered = await fetch(`examples/${name}`);
    if (!answered.ok) throw new Error(answered.status);
    const content = await answered.blob();
    part("several").checked = "several" in button.dataset;
    take([new File([content], name, { type: content.type })]);
  } catch {
    say("The example could not be fetched: the server does not answer as it should.");
  }
}

/* ---- "that was wrong" ---- */

function forgetCorrection() {
  part("correction").hidden = true;
  part("wrong").setAttribute("aria-expanded", "false");
  part("thanks").textContent = "";
}

function openCorrection() {
  const opened = part("correction").hidden;
  part("correction").hidden = !opened;
  part("wrong").setAttribute("aria-expanded", opened);
  part("thanks").textContent = "";
  if (!opened) return;
  const options = labels.map((label) => new Option(label, label));
  part("right-label").replaceChildren(new Option("Choose…", ""), ...options);
  part("right-label").focus();
}

async function correct(event) {
  event.preventDefault();
  const digit = answer.digits[chosen];
  try {
    const blob = await paper.asFile();
    const sent = answer.digits.length > 1 ? await cropped(blob, digit.box) : blob;
    const fields = { label: part("right-label").value, predicted: digit.label, model_id: answer.model_id };
    await sendCorrection(sent, fields, model());
    forgetCorrection();
    part("thanks").textContent = "Kept. Thank you.";
    part("wrong").focus();
  } catch (problem) {
    if (problem instanceof DOMException) say("This browser cannot cut the digit out of the picture; give it alone.");
    else tell(problem);
  }
}

/** Return one digit of a picture, with some paper around it. */
async function cropped(blob, { x, y, width, height }) {
  const margin = Math.round(Math.max(width, height) / 5);
  const whole = await createImageBitmap(blob);
  const canvas = document.createElement("canvas");
  canvas.width = width + 2 * margin;
  canvas.height = height + 2 * margin;
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(whole, margin - x, margin - y);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

/* ---- theme, token, models ---- */

const prefersDark = matchMedia("(prefers-color-scheme: dark)");

function showTheme() {
  const kept = localStorage.getItem("digitflow-theme");
  const dark = kept ? kept === "dark" : prefersDark.matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  part("theme").setAttribute("aria-pressed", dark);
  paper.paint();
}

function switchTheme() {
  const dark = document.documentElement.dataset.theme === "dark";
  localStorage.setItem("digitflow-theme", dark ? "light" : "dark");
  showTheme();
}

function askForToken() {
  part("token-form").hidden = false;
  if (hasToken()) say("The server does not know this token.");
  part("token").select();
}

function modelChosen() {
  forgetCorrection();
  labels = classesOf.get(part("model").value) ?? LABELS;
  if (!answer) showEmptyBars(labels);
  askSoon(0);
}

async function start() {
  try {
    const { default: standard, models, feedback } = await getModels();
    part("token-form").hidden = true;
    mayCorrect = feedback === true;
    const options = models.map(({ name, version, classes, current }) => {
      const full = `${name}@${version}`;
      classesOf.set(full, classes);
      return new Option(`${name} ${version}`, full, false, full === standard || (name === standard && current));
    });
    part("model").replaceChildren(...options);
    part("model-choice").hidden = models.length < 2;
    modelChosen();
  } catch (problem) {
    tell(problem);
    if (problem.retryAfter) setTimeout(start, 1000 * problem.retryAfter);
  }
}

/* ---- what people do ---- */

function keyed(event) {
  const typing = event.target.closest("select, input:not([type=checkbox]), dialog");
  const command = IS_MAC ? event.metaKey : event.ctrlKey;
  const key = event.key.toLowerCase();
  if (typing) return;
  if (command && (key === "y" || (key === "z" && event.shiftKey))) paper.redo();
  else if (command && key === "z") paper.undo();
  else if (!command && (key === "delete" || key === "backspace")) paper.clear();
  else return;
  event.preventDefault();
}

function dropped(event) {
  event.preventDefault();
  document.body.classList.remove("dropping");
  take(event.dataTransfer.files);
}

part("undo").addEventListener("click", () => paper.undo());
part("redo").addEventListener("click", () => paper.redo());
part("clear").addEventListener("click", () => paper.clear());
part("several").addEventListener("change", () => { chosen = 0; forgetCorrection(); askSoon(0); });
part("model").addEventListener("change", modelChosen);
part("choose").addEventListener("click", () => part("files").click());
part("files").addEventListener("change", ({ target }) => { take([...target.files]); target.value = ""; });
part("camera").addEventListener("click", () => openCamera((blob) => take([new File([blob], "from the camera")])));
part("wrong").addEventListener("click", openCorrection);
part("correction").addEventListener("submit", correct);
part("theme").addEventListener("click", switchTheme);
part("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useToken(part("token").value.trim());
  say("");
  start();
});
for (const button of document.querySelectorAll("[data-example]")) {
  button.addEventListener("click", () => openExample(button));
}
prefersDark.addEventListener("change", showTheme);
document.addEventListener("keydown", keyed);
document.addEventListener("paste", (event) => {
  if (!event.target.closest?.("input") && event.clipboardData) take(event.clipboardData.files);
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});
document.addEventListener("drop", dropped);

showTheme();
showControls();
showEmptyBars(LABELS);
start();
