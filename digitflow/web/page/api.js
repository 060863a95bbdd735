// Questions to the server, and its problems in words.

const KEPT = "digitflow-token";

/** What the server could not do, in words for people. */
export class Problem extends Error {
  constructor(message, { status = 0, retryAfter = 0 } = {}) {
    super(message);
    this.status = status; // of HTTP; 0 where the server does not answer
    this.retryAfter = retryAfter; // seconds until it may be asked again; 0 if asking again is no use
  }
}

export function useToken(token) {
  sessionStorage.setItem(KEPT, token);
}

export const hasToken = () => sessionStorage.getItem(KEPT) !== null;

export const getModels = () => ask("v1/models");

/** Have one picture read. */
export function predict(blob, { several, explain, model, signal }) {
  const body = blob.slice(0, blob.size, "application/octet-stream");
  return ask(`v1/predict?${query({ multi: several, explain, model })}`, { method: "POST", body, signal });
}

/** Have several files read in one request. */
export function predictBatch(files, { several, model }) {
  const body = new FormData();
  for (const file of files) body.append("files", file, file.name || "picture");
  return ask(`v1/predict/batch?${query({ multi: several, model })}`, { method: "POST", body });
}

export function sendCorrection(blob, fields, model) {
  const body = new FormData();
  body.append("file", blob, "picture.png");
  for (const [name, value] of Object.entries(fields)) if (value != null) body.append(name, value);
  return ask(`v1/feedback?${query({ model })}`, { method: "POST", body });
}

/** Return when the server answers again. */
export async function untilAlive() {
  for (;;) {
    await new Promise((done) => setTimeout(done, 1500));
    const answer = await fetch("livez", { cache: "no-store" }).catch(() => null);
    if (answer?.ok) return;
  }
}

function query(values) {
  return new URLSearchParams(Object.entries(values).filter(([, value]) => value != null));
}

async function ask(path, options = {}) {
  const token = sessionStorage.getItem(KEPT);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The server does not answer. The page tries again by itself until it does.");
  }
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw problemOf(answer, content);
  return content;
}

const MESSAGES = {
  401: () => "The server asks for a token, or does not know the one that was given.",
  413: (detail) => `This is larger than the server takes. ${detail}`,
  415: (detail) => `The server does not take this kind of content. ${detail}`,
  422: (detail) => detail,
  429: (detail, wait) => `The server is busy. It may be asked again in ${wait} s.`,
  503: (detail, wait) => `The server is not ready. It may be asked again in ${wait} s.`,
  507: () => "The server's store for corrections is full; this one was not kept.",
};

function problemOf(answer, { title, detail, instance }) {
  const { status } = answer;
  const wait = Math.min(30, Math.max(1, Number(answer.headers.get("Retry-After")) || 2));
  // What is sent without a name is called "image" by the server.
  const said = sentence((detail ?? title ?? `It answered ${status}`).replace(/^image: /, ""));
  const fallback = () => `The server could not do this. ${said}${instance ? ` (request ${instance})` : ""}`;
  const message = (MESSAGES[status] ?? fallback)(said, wait);
  return new Problem(message, { status, retryAfter: [429, 503].includes(status) ? wait : 0 });
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
