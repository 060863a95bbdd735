// Shows an answer of the server: what was read, how likely, what the model saw and why.

const STAGES = {
  picture: "The picture",
  sheet: "The sheet of paper",
  ink: "The ink",
  written: "Without lines and frames",
  digit: "The digit",
  seen: "What the model sees",
};

const HEADLINES = {
  ok: ({ label }) => `It is ${named(label)}`,
  uncertain: ({ label }) => `Unsure, perhaps ${named(label)}`,
  rejected: (digit) => ({ digit: "Not a digit", character: "Not a character" }[nounOf(digit)] ?? "None that it knows"),
  blank: () => "Blank",
};

const REASONS = {
  not_a_digit: ({ label, confidence }) =>
    `It looks like nothing that the model has learned. The nearest is ${named(label)} (${percent(confidence)}).`,
  no_ink: () => "Nothing is written here.",
  several: () => "More than one thing is written here. Switch on “Several digits” to read each.",
  touching: () => "It touches its neighbour, and where to part them is not clear.",
};

// Colours of the heat map, from red to gold; its strength is also how much of it is seen.
const HEAT = [[213, 94, 0], [255, 214, 10]];

const part = (id) => document.getElementById(id);
const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

/** Return "a 7", "an 8" or "an L"; words are quoted, as they need not be things. */
function named(label) {
  if (label.length > 1) return `“${label}”`;
  return `${/[8AEFHILMNORSX]/i.test(label) ? "an" : "a"} ${label}`;
}

/** Return what is read by the model that gave a digit: it may know letters or words. */
function nounOf({ digit, label }) {
  if (digit !== null) return "digit";
  return label.length > 1 ? "thing" : "character";
}

/** Return a share of 1 in words: never 100 % nor 0 % of what is not certain. */
export function percent(share) {
  if (share > 0.999 && share < 1) return "> 99.9 %";
  if (share > 0 && share < 0.001) return "< 0.1 %";
  return `${(100 * share).toFixed(share === 0 || share === 1 ? 0 : 1)} %`;
}

/** Show an answer; `chosen` is which of its digits is looked at. */
export function showAnswer(answer, chosen, choose) {
  const digit = answer.digits[chosen];
  const many = answer.digits.length > 1;
  part("answer").dataset.status = many ? statusOfAll(answer.digits) : digit.status;
  const figure = many ? answer.text : { rejected: "×", blank: "–" }[digit.status] ?? digit.label;
  part("answer").classList.toggle("long", many || figure.length > 2);
  part("figure").ariaHidden = !many; // the headline says it
  part("figure").textContent = figure;
  part("headline").textContent = many ? howMany(answer.digits) : HEADLINES[digit.status](digit);
  part("sentence").textContent = many ? sentenceOfAll(answer.digits) : sentenceOf(digit);
  showDigits(answer.digits, chosen, choose);
  part("bars-title").textContent = many ? `How likely each is for ${nounOf(digit)} ${chosen + 1}` : "How likely each is";
  showBars(digit);
  showWhy(digit);
  part("facts").textContent = factsOf(answer);
}

/** Show that nothing was asked, or that it could not be answered. */
export function showNothing(headline, sentence) {
  part("answer").dataset.status = "none";
  part("answer").classList.remove("long");
  part("figure").textContent = "?";
  part("headline").textContent = headline;
  part("sentence").textContent = sentence;
  part("digits").hidden = part("why").hidden = part("feedback").hidden = true;
  part("bars-title").textContent = "How likely each is";
  for (const bar of part("bars").children) setBar(bar, 0, "");
  drawBoxes(null);
}

/** Return an answer in a line for those who hear it. */
export function inWords({ digits, text }) {
  if (digits.length > 1) return `${howMany(digits)}: ${[...text].join(" ")}. ${sentenceOfAll(digits)}`;
  const [digit] = digits;
  const said = HEADLINES[digit.status](digit);
  return digit.status === "ok" ? `${said}, ${percent(digit.confidence)}` : said;
}

function sentenceOf(digit) {
  const reason = REASONS[digit.reason]?.(digit);
  if (digit.status === "blank" || digit.status === "rejected") return reason ?? sentenceFrom(digit.message);
  const [first, ...next] = digit.top.map(({ label, probability }) => `${label} (${percent(probability)})`);
  const likely = `Most likely ${first}${next.length ? `, then ${next.join(" and ")}` : ""}.`;
  return reason ? `${reason} ${likely}` : likely;
}

/** Return "5 digits", or of a model that reads letters as well, "5 characters". */
function howMany(digits) {
  const nouns = new Set(digits.map(nounOf));
  const noun = ["thing", "character"].find((each) => nouns.has(each)) ?? "digit";
  return `${digits.length} ${noun}s`;
}

const sentenceFrom = (message) => `${message[0].toUpperCase()}${message.slice(1)}.`;

function statusOfAll(digits) {
  return ["rejected", "uncertain"].find((status) => digits.some((each) => each.status === status)) ?? "ok";
}

function sentenceOfAll(digits) {
  const count = (status) => digits.filter((digit) => digit.status === status).length;
  const parts = [[count("ok"), "sure"], [count("uncertain"), "unsure"], [count("rejected"), "not a digit"]];
  const said = parts.filter(([n]) => n > 0).map(([n, what]) => `${n} ${what}`).join(", ");
  return `${said[0].toUpperCase()}${said.slice(1)}.`;
}

function showDigits(digits, chosen, choose) {
  const group = part("digits");
  const had = [...group.children].indexOf(document.activeElement);
  group.hidden = digits.length < 2;
  if (group.hidden) return group.replaceChildren();
  group.replaceChildren(...digits.map((digit, i) => {
    const note = digit.status === "ok" ? "" : { uncertain: ", unsure", rejected: ", not a digit" }[digit.status];
    const button = element("button", { type: "button", className: digit.status, textContent: digit.label });
    button.setAttribute("aria-label", `${nounOf(digit)} ${i + 1}: ${digit.label}${note}`);
    button.setAttribute("aria-pressed", i === chosen);
    button.addEventListener("click", () => choose(i));
    return button;
  }));
  group.children[had]?.focus(); // the buttons are new
}

function showBars({ probabilities, label }) {
  const list = part("bars");
  const names = Object.keys(probabilities);
  const shown = [...list.children].map((bar) => bar.dataset.label);
  if (names.length && names.join() !== shown.join()) {
    list.replaceChildren(...names.map((name) => newBar(name)));
    const words = names.some((name) => name.length > 2);
    list.classList.toggle("words", words);
    list.classList.toggle("many", names.length > 12 && !words);
  }
  for (const bar of list.children) {
    const share = probabilities[bar.dataset.label] ?? 0;
    setBar(bar, share, names.length ? percent(share) : "");
    bar.classList.toggle("best", bar.dataset.label === label);
  }
}

function newBar(name) {
  const bar = element(
    "li", {},
    element("span", { className: "label", textContent: name }),
    element("span", { className: "track" }, element("span", { className: "fill" })),
    element("span", { className: "share" }),
  );
  bar.dataset.label = name;
  return bar;
}

function setBar(bar, share, text) {
  bar.querySelector(".fill").style.width = `${100 * share}%`;
  bar.querySelector(".share").textContent = text;
  if (!share) bar.classList.remove("best");
}

/** Draw the bars of a model of which nothing has been asked yet. */
export function showEmptyBars(labels) {
  showBars({ probabilities: Object.fromEntries(labels.map((label) => [label, 0])), label: null });
  for (const bar of part("bars").children) setBar(bar, 0, "");
}

/** Draw boxes over the picture: of an answer, or none. */
export function drawBoxes(answer, chosen = 0) {
  const boxes = part("boxes");
  boxes.replaceChildren();
  if (!answer?.image) return;
  const { width, height } = answer.image;
  boxes.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const margin = Math.max(width, height) / 80;
  answer.digits.forEach(({ box, status }, i) => {
    if (status === "blank") return;
    const drawn = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const values = {
      x: box.x - margin, y: box.y - margin, width: box.width + 2 * margin, height: box.height + 2 * margin, rx: margin,
    };
    for (const [name, value] of Object.entries(values)) drawn.setAttribute(name, value);
    drawn.setAttribute("class", answer.digits.length > 1 && i === chosen ? `${status} chosen` : status);
    boxes.append(drawn);
  });
}

function showWhy({ explanation }) {
  part("why").hidden = !explanation;
  if (!explanation) return;
  const { image, dependence } = explanation;
  part("glow-note").hidden = !dependence;
  const stages = explanation.stages.length ? explanation.stages : [{ name: "seen", png: image }];
  const entries = stages.map(({ name, png }) => {
    const picture = element("img", { src: dataUrl(png), alt: "", className: name === "seen" ? "small" : "" });
    return newStage(picture, STAGES[name] ?? name);
  });
  if (dependence) {
    const map = element("canvas", { width: 224, height: 224 });
    entries.push(newStage(map, "What the answer rests on"));
    drawHeat(map, image, dependence);
  }
  part("stages").replaceChildren(...entries);
}

function newStage(picture, caption) {
  return element("li", {}, element("span", { className: "frame" }, picture), caption);
}

export const dataUrl = (png) => `data:image/png;base64,${png}`;

async function pixels(png) {
  const image = new Image();
  image.src = dataUrl(png);
  await image.decode();
  const canvas = element("canvas", { width: image.width, height: image.height });
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.getContext("2d").getImageData(0, 0, image.width, image.height);
}

async function drawHeat(map, image, dependence) {
  const [seen, heat] = await Promise.all([pixels(image), pixels(dependence)]);
  for (let i = 0; i < heat.data.length; i += 4) {
    const strength = heat.data[i] / 255;
    HEAT[0].forEach((low, channel) => {
      heat.data[i + channel] = low + strength * (HEAT[1][channel] - low);
      seen.data[i + channel] *= 0.55; // darker, for the heat to stand out
    });
    heat.data[i + 3] = 230 * strength;
  }
  const context = map.getContext("2d");
  for (const [layer, smooth] of [[seen, false], [heat, true]]) {
    const small = element("canvas", { width: layer.width, height: layer.height });
    small.getContext("2d").putImageData(layer, 0, 0);
    context.imageSmoothingEnabled = smooth;
    context.imageSmoothingQuality = "high";
    context.drawImage(small, 0, 0, map.width, map.height);
  }
}

function factsOf({ model, model_id: id, image, milliseconds }) {
  const picture = image ? `${image.format} of ${image.width} × ${image.height} px. ` : "";
  return `${picture}Read by ${model} (${id.slice(0, 8)}) in ${milliseconds.toFixed(1)} ms. Pictures go to this server and nowhere else.`;
}
